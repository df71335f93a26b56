// One ticket: whoever looks at it sees at once when it is taken, and can buy it when it is free again.

import { follow } from "./live.js";
import { money } from "./money.js";
import { refresh } from "./region.js";
import { countdown, minutes, pageArrived } from "./times.js";

let left;
let later;

start(pageArrived());
document.addEventListener("content", () => start(Date.now()));
follow(page().dataset.position, apply);
setInterval(tick, 1000);

function page() {
  return document.getElementById("ticket");
}

function start(since) {
  const ticket = page();
  left = ticket.dataset.until && countdown({ until: ticket.dataset.until, now: ticket.dataset.now }, since);
  tick();
}

/** What it is and whether it can be bought cannot wait; the server says the rest a moment later. */
function apply({ id, version, title, price, orderId }) {
  const ticket = page();
  if (id !== ticket.dataset.id || version <= Number(ticket.dataset.version)) return;
  ticket.dataset.version = version;
  ticket.dataset.state = orderId ? "reserved" : "free";
  ticket.querySelector("h1").textContent = title;
  ticket.querySelector(".price").textContent = money(price);
  soon(200 + Math.random() * 800); // a ticket that many want is not asked for by all of them at once
}

function tick() {
  const says = document.querySelector("[data-left]");
  if (!says || !left) return;
  if (left() > 0) {
    says.textContent = ` (${minutes(left())} left)`;
  } else {
    left = undefined;
    says.textContent = "";
    soon(1500 + Math.random() * 1000); // free again, or sold: of a payment no ticket event tells
  }
}

function soon(ms) {
  clearTimeout(later);
  later = setTimeout(() => refresh().catch(() => soon(3000)), ms);
}
