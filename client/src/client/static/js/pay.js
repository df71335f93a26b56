// Paying by card: Stripe's script takes the card's number, our market a token for it.

const LOADS_WITHIN = 10_000;

const UNCERTAIN = "The market did not answer, so we don't know yet whether your payment went through. If it did, this page shows it in a moment. Else try again: nobody pays twice.";

let busy = false;

/** Why the payment of this order failed, as far as this browser was told. */
export const reasonOf = (orderId) => sessionStorage.getItem(`why-${orderId}`);

/** `decided()` is called when the order should be looked at: it is paid, or it is over. */
export function startPaying(orderId, decided) {
  const box = document.getElementById("pay");
  if (!box) return; // payments are down, and the page says so
  const find = (name) => document.getElementById(`pay-${name}`);
  find("reload").onclick = () => mount();
  mount();

  async function mount() {
    show("loading");
    try {
      await load(box.dataset.script);
      mountCard();
    } catch (error) {
      if (error) console.error(error); // of our own making: nothing kept the script away
      show("unloaded");
    }
  }

  function show(what) {
    for (const name of ["loading", "unloaded", "form"]) find(name).hidden = name !== what;
  }

  function mountCard() {
    const stripe = window.Stripe(box.dataset.key);
    const card = stripe.elements().create("card", { style: style(), hidePostalCode: true });
    show("form");
    card.mount("#card-input");
    card.on("change", ({ error }) => say(error?.message));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => find("form") && card.update({ style: style() }));
    find("form").onsubmit = (event) => {
      event.preventDefault();
      if (!busy) submit(stripe, card);
    };
  }

  async function submit(stripe, card) {
    setBusy(card, true);
    say();
    try {
      const { paymentMethod, error } = await stripe.createPaymentMethod({ type: "card", card });
      if (error) return say(error.message);
      await pay(stripe, paymentMethod.id);
    } catch {
      say(UNCERTAIN);
    } finally {
      setBusy(card, false);
    }
  }

  async function pay(stripe, token) {
    let answer = await post(orderId, token);
    if (answer.status === 202) {
      const { clientSecret } = await answer.json();
      // It throws when there is nothing left to do, for another tab has done it.
      const { error } = await stripe.handleNextAction({ clientSecret }).catch(() => ({}));
      find("button")?.focus(); // the bank had it, and the card's fields can't take it back yet
      if (error) remember(error.message);
      answer = await post(orderId, token); // what came of it, the market knows
    }
    if (answer.ok) return settled();
    if (answer.status >= 500) return say(UNCERTAIN);
    const [{ message, field }] = (await answer.json()).errors;
    if (answer.status === 401) return location.reload(); // to the sign-in page, and back here
    if (field) return say(message);
    if (message !== "Order is already paid" && !reasonOf(orderId)) remember(message);
    await settled();
  }

  function remember(message) {
    sessionStorage.setItem(`why-${orderId}`, /[.!?]$/.test(message) ? message : `${message}.`);
  }

  /** The order says paid or cancelled a moment after the payment does. */
  async function settled() {
    for (let tries = 0; tries < 60; tries += 1) {
      const answer = await fetch(`/api/orders/${orderId}`);
      if (answer.ok && (await answer.json()).status !== "created") break;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    await decided();
  }

  function say(message = "") {
    find("problem").hidden = !message;
    find("problem").textContent = message;
  }

  function setBusy(card, yes) {
    busy = yes;
    const button = find("button");
    if (!button) return; // the order is decided, and the form gone
    find("form").setAttribute("aria-busy", yes);
    button.setAttribute("aria-disabled", yes);
    button.textContent = yes ? "Paying…" : `Pay ${button.dataset.price}`;
    card.update({ disabled: yes });
  }
}

function post(orderId, token) {
  return fetch("/api/payments", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ orderId, token }),
  });
}

function load(url) {
  if (window.Stripe) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const give = (outcome) => {
      clearTimeout(timer);
      if (!window.Stripe) script.remove();
      outcome();
    };
    const timer = setTimeout(() => give(reject), LOADS_WITHIN);
    script.src = url;
    script.onload = () => give(window.Stripe ? resolve : reject);
    script.onerror = () => give(reject);
    document.head.append(script);
  });
}

/** The card's fields are in a frame of Stripe's: they get the colours and the size of ours. */
function style() {
  const ours = getComputedStyle(document.getElementById("card-input"));
  const soft = getComputedStyle(document.getElementById("pay-loading")).color;
  const bad = getComputedStyle(document.getElementById("pay-problem")).color;
  return {
    base: { color: ours.color, fontSize: ours.fontSize, fontFamily: ours.fontFamily, iconColor: soft, "::placeholder": { color: soft } },
    invalid: { color: bad },
  };
}
