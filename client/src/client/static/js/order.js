// The order page: the countdown, and a refresh once the order is paid, cancelled or expired.

import { reasonOf, startPaying } from "./pay.js";
import { refresh } from "./region.js";
import { countdown, minutes, pageArrived } from "./times.js";

const URGENT = 120_000; // ms
const ANNOUNCED_SECONDS = [600, 300, 120, 60, 30, 10]; // screen readers announce the time left at these

let timer;

start(pageArrived());
document.addEventListener("content", () => start(Date.now()));
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && checkOrder());

function orderElement() {
  return document.getElementById("order");
}

function start(since) {
  clearInterval(timer);
  const { status, reason, id, expires, now, placed } = orderElement().dataset;
  if (status === "cancelled" && reason === "payment-failed") showFailureReason(id);
  if (status !== "created") return;
  const timeLeft = countdown({ until: expires, now }, since);
  const total = Date.parse(expires) - Date.parse(placed);
  let ticks = 0;
  const tick = () => {
    showCountdown(timeLeft(), total);
    ticks += 1;
    // Every 3 s, because another tab or a bank may complete or cancel the order; every 0.5 s once time is up.
    if (ticks % (timeLeft() > 0 ? 6 : 1) === 0) checkOrder();
  };
  tick();
  timer = setInterval(tick, 500);
  startPaying(id, checkOrder);
}

function showCountdown(timeLeft, total) {
  const seconds = Math.max(0, Math.ceil(timeLeft / 1000));
  document.querySelector(".countdown").classList.toggle("urgent", timeLeft < Math.min(URGENT, total / 2));
  document.getElementById("left").textContent = minutes(timeLeft);
  document.getElementById("left-says").textContent = seconds ? "left to pay" : "Time is up…";
  document.getElementById("track").style.transform = `scaleX(${Math.min(1, Math.max(0, timeLeft / total))})`;
  if (ANNOUNCED_SECONDS.includes(seconds)) {
    const text = seconds >= 60 ? `${seconds / 60} minutes left to pay` : `${seconds} seconds left to pay`;
    document.getElementById("left-aloud").textContent = text.replace(/^1 minutes/, "1 minute");
  }
}

async function checkOrder() {
  const { status, id } = orderElement().dataset;
  if (status !== "created") return;
  try {
    const response = await fetch(`/api/orders/${id}`);
    if (response.status === 401 || (response.ok && (await response.json()).status !== "created")) await refresh();
  } catch {
    // The next tick retries.
  }
}

function showFailureReason(id) {
  const reason = reasonOf(id);
  if (reason) document.getElementById("why-failed").textContent = `${reason} The ticket went back on sale, and nothing was charged. Buy it again to try another card.`;
}
