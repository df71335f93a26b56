// The buyer at the bank: Stripe is asked for the intent, the buyer for yes or no, and the bank tells Stripe.

import { call } from './api.js';
import { focusOn } from './focus.js';
import { listenToSite } from './site.js';

const buttons = [...document.querySelectorAll('button')];
let decide = () => {};

for (const button of buttons) button.addEventListener('click', () => decide(button.dataset.answer));

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') decide('false');
  // The focus stays here: the page around is out of reach, and so is the browser's own bar, as in a dialog.
  const first = buttons.at(0);
  const last = buttons.at(-1);
  if (event.key !== 'Tab' || document.activeElement !== (event.shiftKey ? first : last)) return;
  event.preventDefault();
  (event.shiftKey ? last : first).focus();
});

function price({ amount, currency }) {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).format(amount / 100);
}

listenToSite({
  async retrieve({ key, clientSecret }) {
    const [id] = clientSecret.split('_secret_');
    const answer = await call('GET', `/v1/payment_intents/${id}`, { client_secret: clientSecret }, key);
    return answer.error ? answer : { paymentIntent: answer };
  },
  async authenticate(intent) {
    document.getElementById('amount').textContent = price(intent);
    focusOn(document.getElementById('what'));
    const success = await new Promise((resolve) => {
      decide = resolve;
    });
    for (const button of buttons) button.disabled = true;
    const asked = { client_secret: intent.client_secret, success };
    const { error } = await call('POST', `/v1/payment_intents/${intent.id}/_authenticate`, asked);
    // An intent that no longer waits for its buyer was decided elsewhere: what became of it is asked for next.
    return { error: error?.code === 'payment_intent_unexpected_state' ? undefined : error };
  },
  cancel: () => decide('false'),
});
