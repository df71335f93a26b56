// The sales page: refreshes when one of the seller's tickets is listed, edited, reserved or freed.

import { follow } from "./live.js";
import { refresh } from "./region.js";

const seller = document.getElementById("sales").dataset.seller;
let refreshTimer;

follow("", ({ userId }) => {
  if (userId !== seller) return;
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(() => {
    const isRefundFormOpen = document.querySelector("main details[open]");
    if (!isRefundFormOpen) refresh().catch(() => {});
  }, 300);
});
