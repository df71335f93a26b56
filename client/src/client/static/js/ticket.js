// The ticket page: shows at once when the ticket is edited, reserved, sold or for sale again.

import { follow } from "./live.js";
import { money } from "./money.js";
import { refresh } from "./region.js";
import { countdown, minutes, pageArrived } from "./times.js";

let timeLeft;
let refreshTimer;

startCountdown(pageArrived());
document.addEventListener("content", () => startCountdown(Date.now()));
follow(ticketElement().dataset.position, applyEvent);
setInterval(updateCountdown, 1000);

function ticketElement() {
  return document.getElementById("ticket");
}

function startCountdown(since) {
  const { until, now } = ticketElement().dataset;
  timeLeft = until && countdown({ until, now }, since);
  updateCountdown();
}

/** Shows the title, the price and the state immediately; a refresh from the server follows. */
function applyEvent({ id, version, title, price, orderId }) {
  const ticket = ticketElement();
  if (id !== ticket.dataset.id || version <= Number(ticket.dataset.version)) return;
  ticket.dataset.version = version;
  ticket.dataset.state = orderId ? "reserved" : "free";
  ticket.querySelector("h1").textContent = title;
  ticket.querySelector(".price").textContent = money(price);
  scheduleRefresh(200 + Math.random() * 800); // jitter: many browsers may show the same ticket
}

function updateCountdown() {
  const element = document.querySelector("[data-left]");
  if (!element || !timeLeft) return;
  if (timeLeft() > 0) {
    element.textContent = ` (${minutes(timeLeft())} left)`;
  } else {
    timeLeft = undefined;
    element.textContent = "";
    scheduleRefresh(1500 + Math.random() * 1000); // it may be sold: a payment publishes no ticket event
  }
}

function scheduleRefresh(ms) {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(() => refresh().catch(() => scheduleRefresh(3000)), ms);
}
