// The list of tickets: it changes as the market does, and goes on where it ends.

import { follow } from "./live.js";
import { money } from "./money.js";
import { agoText } from "./times.js";

const GOES_AFTER = 500; // ms in which a ticket that was taken is still seen to be leaving
const PAGES_BY_THEMSELVES = 4; // then the link waits, so that the end of the page can be reached

const list = document.getElementById("tickets");
const live = document.getElementById("live");
const versions = new Map();
const leaving = new WeakMap();
let pages = 0;

if (list) {
  for (const card of list.children) versions.set(card.dataset.id, Number(card.dataset.version));
  live.hidden = false;
  follow(list.dataset.position, apply, (connected) => {
    live.classList.toggle("waiting", !connected);
    live.lastElementChild.textContent = connected ? "Live" : "Reconnecting";
  });
  watchEnd();
}

/** Events may come twice: only a newer version changes anything. */
function apply(ticket) {
  if ((versions.get(ticket.id) ?? -1) >= ticket.version) return;
  versions.set(ticket.id, ticket.version);
  const card = list.querySelector(`[data-id="${CSS.escape(ticket.id)}"]`);
  const wanted = !ticket.orderId && matches(ticket.title);
  if (card && !wanted) takeAway(card);
  else if (card) fill(card, ticket);
  else if (wanted) add(ticket);
}

function fill(card, ticket) {
  clearTimeout(leaving.get(card));
  card.classList.remove("gone");
  card.dataset.id = ticket.id;
  const link = card.querySelector("a");
  link.href = `/tickets/${ticket.id}`;
  link.textContent = ticket.title;
  card.querySelector(".price").textContent = money(ticket.price);
  const time = card.querySelector("time");
  time.dateTime = new Date(parseInt(ticket.id.slice(0, 8), 16) * 1000).toISOString();
  time.textContent = agoText(time.dateTime);
}

function add(ticket) {
  const older = [...list.children].find((card) => card.dataset.id < ticket.id);
  const isFirst = older === list.firstElementChild;
  if (older && isFirst && !list.dataset.first) return; // of a page before this one
  if (!older && document.querySelector("a[rel=next]")) return; // of a page after this one
  const card = document.getElementById("card").content.firstElementChild.cloneNode(true);
  fill(card, ticket);
  card.classList.add("fresh");
  list.insertBefore(card, older ?? null);
  showEmptiness();
}

function takeAway(card) {
  card.classList.add("gone");
  leaving.set(card, setTimeout(() => {
    card.remove();
    showEmptiness();
  }, GOES_AFTER));
}

function showEmptiness() {
  const next = document.querySelector("a[rel=next]");
  if (!list.children.length && next) more(next);
  document.getElementById("empty").hidden = list.children.length > 0 || Boolean(next);
}

/** Whether the title has every word of the search, as models.py of the tickets service compares them. */
function matches(title) {
  const has = new Set(words(title));
  return words(list.dataset.query).every((word) => has.has(word));
}

function words(text) {
  return text.normalize("NFKC").toLowerCase().replaceAll("ß", "ss").match(/[\p{L}\p{N}_]+/gu) ?? [];
}

function watchEnd() {
  const next = document.querySelector("a[rel=next]");
  if (!next) return;
  next.addEventListener("click", (event) => {
    event.preventDefault();
    more(next);
  });
  if (pages >= PAGES_BY_THEMSELVES) return;
  const seen = new IntersectionObserver(([end]) => {
    if (!end.isIntersecting) return;
    seen.disconnect();
    more(next);
  }, { rootMargin: "600px" });
  seen.observe(next);
}

async function more(next) {
  if (next.dataset.sent) return;
  next.dataset.sent = "yes";
  let page;
  try {
    page = new DOMParser().parseFromString(await (await fetch(next.href, { headers: { Accept: "text/html" } })).text(), "text/html");
    if (!page.getElementById("tickets")) throw new Error("no list came");
  } catch {
    delete next.dataset.sent; // the link is still there to be tried
    return;
  }
  pages += 1;
  const hadFocus = document.activeElement === next;
  const cards = [...page.getElementById("tickets").children].filter((card) => !versions.has(card.dataset.id));
  for (const card of cards) versions.set(card.dataset.id, Number(card.dataset.version));
  list.append(...cards);
  const following = page.querySelector("a[rel=next]");
  if (following) next.replaceWith(following);
  else next.parentElement.remove();
  if (hadFocus) cards[0]?.querySelector("a").focus();
  showEmptiness();
  watchEnd();
}
