// Payment by card: Stripe's script takes the card number, our API gets only a token.

const LOAD_TIMEOUT = 10_000; // ms

const OUTCOME_UNKNOWN = "We got no answer, so we don't know yet whether your payment went through. If it did, this page shows it in a moment. If not, try again: you never pay twice.";

let isPaying = false;

/** Why the payment of this order failed, if it failed in this tab. */
export const reasonOf = (orderId) => sessionStorage.getItem(`why-${orderId}`);

/** Calls `onOrderDecided()` when the payment succeeded or failed, so that the page shows the order's new state. */
export function startPaying(orderId, onOrderDecided) {
  const box = document.getElementById("pay");
  if (!box) return; // the payments service is down; the page shows a notice instead
  const find = (name) => document.getElementById(`pay-${name}`);
  find("reload").onclick = () => mount();
  mount();

  async function mount() {
    showOnly("loading");
    try {
      await loadScript(box.dataset.script);
      mountCard();
    } catch (error) {
      if (error) console.error(error); // an error in this code, not a script that did not load
      showOnly("unloaded");
    }
  }

  function showOnly(visible) {
    for (const name of ["loading", "unloaded", "form"]) find(name).hidden = name !== visible;
  }

  function mountCard() {
    const stripe = window.Stripe(box.dataset.key);
    const card = stripe.elements().create("card", { style: cardStyle(), hidePostalCode: true });
    showOnly("form");
    card.mount("#card-input");
    card.on("change", ({ error }) => showProblem(error?.message));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => find("form") && card.update({ style: cardStyle() }));
    find("form").onsubmit = (event) => {
      event.preventDefault();
      if (!isPaying) submit(stripe, card);
    };
  }

  async function submit(stripe, card) {
    setPaying(card, true);
    showProblem();
    try {
      const { paymentMethod, error } = await stripe.createPaymentMethod({ type: "card", card });
      if (error) return showProblem(error.message);
      await pay(stripe, paymentMethod.id);
    } catch {
      showProblem(OUTCOME_UNKNOWN);
    } finally {
      setPaying(card, false);
    }
  }

  async function pay(stripe, token) {
    let response = await postPayment(orderId, token);
    if (response.status === 202) {
      const { clientSecret } = await response.json();
      // Throws if no action is required any more, for example because another tab confirmed the payment.
      const { error } = await stripe.handleNextAction({ clientSecret }).catch(() => ({}));
      find("button")?.focus(); // the bank's dialog had the focus, and the card fields are still disabled
      if (error) saveFailureReason(error.message);
      response = await postPayment(orderId, token); // returns the outcome
    }
    if (response.ok) return waitUntilDecided();
    if (response.status >= 500) return showProblem(OUTCOME_UNKNOWN);
    const [{ message, field }] = (await response.json()).errors;
    if (response.status === 401) return location.reload(); // redirects to the sign-in page, and back here
    if (field) return showProblem(message);
    if (message !== "Order is already paid" && !reasonOf(orderId)) saveFailureReason(message);
    await waitUntilDecided();
  }

  function saveFailureReason(message) {
    sessionStorage.setItem(`why-${orderId}`, /[.!?]$/.test(message) ? message : `${message}.`);
  }

  /** The order is completed or cancelled shortly after the payment. */
  async function waitUntilDecided() {
    for (let attempt = 0; attempt < 60; attempt += 1) {
      const response = await fetch(`/api/orders/${orderId}`);
      if (response.ok && (await response.json()).status !== "created") break;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    await onOrderDecided();
  }

  function showProblem(message = "") {
    find("problem").hidden = !message;
    find("problem").textContent = message;
  }

  function setPaying(card, value) {
    isPaying = value;
    const button = find("button");
    if (!button) return; // the order is decided, and the page has been refreshed
    find("form").setAttribute("aria-busy", value);
    button.setAttribute("aria-disabled", value);
    button.textContent = value ? "Paying…" : `Pay ${button.dataset.price}`;
    card.update({ disabled: value });
  }
}

function postPayment(orderId, token) {
  return fetch("/api/payments", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ orderId, token }),
  });
}

/** Rejects without an error if the script does not load. */
function loadScript(url) {
  if (window.Stripe) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const finish = (resolveOrReject) => {
      clearTimeout(timer);
      if (!window.Stripe) script.remove();
      resolveOrReject();
    };
    const timer = setTimeout(() => finish(reject), LOAD_TIMEOUT);
    script.src = url;
    script.onload = () => finish(window.Stripe ? resolve : reject);
    script.onerror = () => finish(reject);
    document.head.append(script);
  });
}

/** The card fields are in Stripe's frame, so they get the page's colours and fonts as options. */
function cardStyle() {
  const input = getComputedStyle(document.getElementById("card-input"));
  const softColor = getComputedStyle(document.getElementById("pay-loading")).color;
  const errorColor = getComputedStyle(document.getElementById("pay-problem")).color;
  return {
    base: { color: input.color, fontSize: input.fontSize, fontFamily: input.fontFamily, iconColor: softColor, "::placeholder": { color: softColor } },
    invalid: { color: errorColor },
  };
}
