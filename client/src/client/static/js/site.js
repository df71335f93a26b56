// On every page: prevents double submission, formats prices, updates times, and retries after an outage.

import { tellTimes } from "./times.js";

// The back button can restore an outdated page from the browser's memory.
addEventListener("pageshow", (event) => event.persisted && location.reload());

document.querySelector("[aria-invalid]")?.focus();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) return event.preventDefault(); // a double click
  form.dataset.sent = "yes";
  const button = event.submitter;
  const text = button?.textContent;
  button?.setAttribute("aria-disabled", "true");
  if (button && form.dataset.busy) button.textContent = form.dataset.busy;
  // The response replaces this page. If there is none, the visitor can send the form again.
  setTimeout(() => {
    delete form.dataset.sent;
    button?.removeAttribute("aria-disabled");
    if (button) button.textContent = text;
  }, 15_000);
});

document.addEventListener("focusout", ({ target }) => {
  if (!target.matches?.("[data-money]")) return;
  const amount = target.value.trim().replace(/^\$\s*/, "").replace(/^(\d{1,3})((?:,\d{3})+)(?=\.|$)/, (all) => all.replaceAll(",", ""));
  if (/^(\d+\.?\d{0,2}|\.\d{1,2})$/.test(amount)) target.value = Number(amount).toFixed(2);
});

tellTimes();
setInterval(tellTimes, 30_000);
document.addEventListener("content", tellTimes);

const menu = document.querySelector("details.menu");
addEventListener("click", (event) => menu && !menu.contains(event.target) && menu.removeAttribute("open"));
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !menu?.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// A service is down: fetch the page every few seconds, with jitter, and show it once it is complete.
if (document.querySelector("[data-retry]")) {
  const retry = async () => {
    try {
      const response = document.visibilityState === "visible" && (await fetch(location.href, { headers: { Accept: "text/html" } }));
      // replace() instead of reload(), which would send a form again.
      if (response && !(await response.text()).includes("data-retry")) return location.replace(location.href);
    } catch {
      // The site itself is down.
    }
    setTimeout(retry, 2000 + Math.random() * 2000);
  };
  setTimeout(retry, 2000);
}
