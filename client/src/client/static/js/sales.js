// One's sales: a ticket of one's own that is reserved or freed shows at once.

import { follow } from "./live.js";
import { refresh } from "./region.js";

const seller = document.getElementById("sales").dataset.seller;
let later;

follow("", ({ userId }) => {
  if (userId !== seller) return;
  clearTimeout(later);
  later = setTimeout(() => {
    const inUse = document.querySelector("main details[open]"); // a refund is being thought over
    if (!inUse) refresh().catch(() => {});
  }, 300);
});
