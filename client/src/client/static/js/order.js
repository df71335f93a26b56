// An order: how long it holds its ticket, and what has become of it.

import { reasonOf, startPaying } from "./pay.js";
import { refresh } from "./region.js";
import { countdown, minutes, pageArrived } from "./times.js";

const URGENT = 120_000; // ms
const ALOUD = [600, 300, 120, 60, 30, 10]; // seconds left at which a screen reader says so

let timer;

start(pageArrived());
document.addEventListener("content", () => start(Date.now()));
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());

function order() {
  return document.getElementById("order");
}

function start(since) {
  clearInterval(timer);
  const { status, reason, id, expires, now, placed } = order().dataset;
  if (status === "cancelled" && reason === "payment-failed") tellWhy(id);
  if (status !== "created") return;
  const left = countdown({ until: expires, now }, since);
  const all = Date.parse(expires) - Date.parse(placed);
  let ticks = 0;
  const tick = () => {
    show(left(), all);
    ticks += 1;
    // Another tab, or a bank, may decide it; at its end it is asked for until it is decided.
    if (ticks % (left() > 0 ? 6 : 1) === 0) look();
  };
  tick();
  timer = setInterval(tick, 500);
  startPaying(id, look);
}

function show(left, all) {
  const box = document.querySelector(".countdown");
  const seconds = Math.max(0, Math.ceil(left / 1000));
  box.classList.toggle("urgent", left < Math.min(URGENT, all / 2));
  document.getElementById("left").textContent = minutes(left);
  document.getElementById("left-says").textContent = seconds ? "left to pay" : "Time is up…";
  document.getElementById("track").style.transform = `scaleX(${Math.min(1, Math.max(0, left / all))})`;
  if (ALOUD.includes(seconds)) {
    const text = seconds >= 60 ? `${seconds / 60} minutes left to pay` : `${seconds} seconds left to pay`;
    document.getElementById("left-aloud").textContent = text.replace(/^1 minutes/, "1 minute");
  }
}

async function look() {
  const { status, id } = order().dataset;
  if (status !== "created") return;
  try {
    const answer = await fetch(`/api/orders/${id}`);
    if (answer.status === 401 || (answer.ok && (await answer.json()).status !== "created")) await refresh();
  } catch {
    // The countdown goes on; it is asked again.
  }
}

function tellWhy(id) {
  const why = reasonOf(id);
  if (why) document.getElementById("why-failed").textContent = `${why} The ticket is for sale again, and nothing was charged. Buy it again to try another card.`;
}
