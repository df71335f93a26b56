// Relative times, countdowns, and times in the visitor's time zone.

/** In the same words as format_age in views.py. */
export function agoText(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  const days = Math.floor(seconds / 86_400);
  if (days === 1) return "yesterday";
  if (days < 7) return `${days} days ago`;
  return new Date(iso).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}

/** Updates relative times, and converts UTC to the visitor's time zone. */
export function tellTimes() {
  for (const time of document.querySelectorAll("time[data-ago]")) time.textContent = agoText(time.dateTime);
  for (const time of document.querySelectorAll("time[data-clock]")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  }
  for (const time of document.querySelectorAll("time[data-day]")) {
    time.textContent = new Date(time.dateTime).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
  }
}

/**
 * Returns a function that returns the milliseconds left until `until`.
 *
 * `now` is the server's time at `since`. The visitor's clock only measures the time since then, so it does
 * not matter if it is wrong.
 */
export function countdown({ until, now }, since = Date.now()) {
  const total = Date.parse(until) - Date.parse(now);
  return () => total - (Date.now() - since);
}

/** When the response with this page began to arrive, by the visitor's clock. */
export function pageArrived() {
  const [page] = performance.getEntriesByType("navigation");
  return Date.now() - (performance.now() - page.responseStart);
}

/** Formats a duration as minutes and seconds: 14:05. */
export function minutes(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
