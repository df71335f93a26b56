// The list of tickets: live updates, and more tickets when the visitor scrolls to the end.

import { follow } from "./live.js";
import { money } from "./money.js";
import { agoText } from "./times.js";

const FADE_OUT = 500; // ms for which a ticket that was just reserved is still shown, faded
const AUTOMATIC_PAGES = 4; // more pages only by click, so that visitors can reach the footer

const list = document.getElementById("tickets");
const liveIndicator = document.getElementById("live");
const versions = new Map();
const removalTimers = new WeakMap();
let pagesLoaded = 0;

if (list) {
  for (const card of list.children) versions.set(card.dataset.id, Number(card.dataset.version));
  liveIndicator.hidden = false;
  follow(list.dataset.position, applyEvent, (isConnected) => {
    liveIndicator.classList.toggle("waiting", !isConnected);
    liveIndicator.lastElementChild.textContent = isConnected ? "Live" : "Reconnecting";
  });
  watchEndOfList();
}

/** Ignores duplicate and outdated events: their version is not newer. */
function applyEvent(ticket) {
  if ((versions.get(ticket.id) ?? -1) >= ticket.version) return;
  versions.set(ticket.id, ticket.version);
  const card = list.querySelector(`[data-id="${CSS.escape(ticket.id)}"]`);
  const belongsInList = !ticket.orderId && matchesQuery(ticket.title);
  if (card && !belongsInList) removeCard(card);
  else if (card) fillCard(card, ticket);
  else if (belongsInList) addCard(ticket);
}

function fillCard(card, ticket) {
  clearTimeout(removalTimers.get(card));
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

function addCard(ticket) {
  const nextOlder = [...list.children].find((card) => card.dataset.id < ticket.id);
  const isNewest = nextOlder === list.firstElementChild;
  if (nextOlder && isNewest && !list.dataset.first) return; // it belongs on a previous page
  if (!nextOlder && document.querySelector("a[rel=next]")) return; // it belongs on a later page
  const card = document.getElementById("card").content.firstElementChild.cloneNode(true);
  fillCard(card, ticket);
  card.classList.add("fresh");
  list.insertBefore(card, nextOlder ?? null);
  updateEmptyNotice();
}

function removeCard(card) {
  card.classList.add("gone");
  removalTimers.set(card, setTimeout(() => {
    card.remove();
    updateEmptyNotice();
  }, FADE_OUT));
}

function updateEmptyNotice() {
  const nextLink = document.querySelector("a[rel=next]");
  if (!list.children.length && nextLink) loadNextPage(nextLink);
  document.getElementById("empty").hidden = list.children.length > 0 || Boolean(nextLink);
}

/** Whether the title has every word of the query, compared as in models.py of the tickets service. */
function matchesQuery(title) {
  const titleWords = new Set(words(title));
  return words(list.dataset.query).every((word) => titleWords.has(word));
}

function words(text) {
  return text.normalize("NFKC").toLowerCase().replaceAll("ß", "ss").match(/[\p{L}\p{N}_]+/gu) ?? [];
}

function watchEndOfList() {
  const nextLink = document.querySelector("a[rel=next]");
  if (!nextLink) return;
  nextLink.addEventListener("click", (event) => {
    event.preventDefault();
    loadNextPage(nextLink);
  });
  if (pagesLoaded >= AUTOMATIC_PAGES) return;
  const observer = new IntersectionObserver(([link]) => {
    if (!link.isIntersecting) return;
    observer.disconnect();
    loadNextPage(nextLink);
  }, { rootMargin: "600px" });
  observer.observe(nextLink);
}

async function loadNextPage(nextLink) {
  if (nextLink.dataset.sent) return;
  nextLink.dataset.sent = "yes";
  let page;
  try {
    const response = await fetch(nextLink.href, { headers: { Accept: "text/html" } });
    page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!page.getElementById("tickets")) throw new Error("the response contains no list");
  } catch {
    delete nextLink.dataset.sent; // the visitor can click the link again
    return;
  }
  pagesLoaded += 1;
  const hadFocus = document.activeElement === nextLink;
  const cards = [...page.getElementById("tickets").children].filter((card) => !versions.has(card.dataset.id));
  for (const card of cards) versions.set(card.dataset.id, Number(card.dataset.version));
  list.append(...cards);
  const newNextLink = page.querySelector("a[rel=next]");
  if (newNextLink) nextLink.replaceWith(newNextLink);
  else nextLink.parentElement.remove();
  if (hadFocus) cards[0]?.querySelector("a").focus();
  updateEmptyNotice();
  watchEndOfList();
}
