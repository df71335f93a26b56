// How long ago, in the words of views.py.

export function agoText(iso) {
  const passed = (Date.now() - Date.parse(iso)) / 1000;
  if (passed < 60) return "just now";
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86_400) return `${Math.floor(passed / 3600)} h ago`;
  const days = Math.floor(passed / 86_400);
  if (days === 1) return "yesterday";
  if (days < 7) return `${days} days ago`;
  return new Date(iso).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}

/** Keeps `ago` true, and turns UTC into the visitor's own time. */
export function tellTimes() {
  for (const time of document.querySelectorAll("time[data-ago]")) time.textContent = agoText(time.dateTime);
  for (const time of document.querySelectorAll("time[data-clock]")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  }
  for (const time of document.querySelectorAll("time[data-day]")) {
    time.textContent = new Date(time.dateTime).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
  }
}

/** Milliseconds until a moment by the server's clock: of the visitor's only the running matters, not the setting. */
export function countdown({ until, now }, since = Date.now()) {
  const all = Date.parse(until) - Date.parse(now);
  return () => all - (Date.now() - since);
}

/** When the answer began to arrive from which this page was made. */
export function pageArrived() {
  const [page] = performance.getEntriesByType("navigation");
  return Date.now() - (performance.now() - page.responseStart);
}

/** 14:05 */
export function minutes(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
