// What every page does: forms are sent once, prices become money, times stay true, what is down is tried again.

import { tellTimes } from "./times.js";

// A page that the back button brings from memory may tell of yesterday.
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
  // The answer is another page; should none come, the form can be sent again.
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

// A part of the market is down: look now and then, each visitor at another moment, and show it when it is back.
if (document.querySelector("[data-retry]")) {
  const look = async () => {
    try {
      const page = document.visibilityState === "visible" && (await fetch(location.href, { headers: { Accept: "text/html" } }));
      // Not reload(): this page may be the answer to a form.
      if (page && !(await page.text()).includes("data-retry")) return location.replace(location.href);
    } catch {
      // still nobody there
    }
    setTimeout(look, 2000 + Math.random() * 2000);
  };
  setTimeout(look, 2000);
}
