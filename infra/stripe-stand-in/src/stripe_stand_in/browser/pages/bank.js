// The buyer at the bank: reads the intent, asks the buyer to complete or fail, and sends the decision to Stripe.

import { call } from './api.js';
import { focusOn } from './focus.js';
import { connectToSite } from './site.js';

const buttons = [...document.querySelectorAll('button')];
let decide = () => {};

for (const button of buttons) button.addEventListener('click', () => decide(button.dataset.answer));

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') decide('false');
  // The focus stays inside, as in a dialog: neither the page around nor the browser's bar gets it.
  const first = buttons.at(0);
  const last = buttons.at(-1);
  if (event.key !== 'Tab' || document.activeElement !== (event.shiftKey ? first : last)) return;
  event.preventDefault();
  (event.shiftKey ? last : first).focus();
});

function formatPrice({ amount, currency }) {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).format(amount / 100);
}

connectToSite({
  async retrieve({ key, clientSecret }) {
    const [id] = clientSecret.split('_secret_');
    const answer = await call('GET', `/v1/payment_intents/${id}`, { client_secret: clientSecret }, key);
    return answer.error ? answer : { paymentIntent: answer };
  },
  async authenticate(intent) {
    document.getElementById('amount').textContent = formatPrice(intent);
    focusOn(document.getElementById('what'));
    const success = await new Promise((resolve) => {
      decide = resolve;
    });
    for (const button of buttons) button.disabled = true;
    const params = { client_secret: intent.client_secret, success };
    const { error } = await call('POST', `/v1/payment_intents/${intent.id}/_authenticate`, params);
    // If the intent was decided elsewhere, the script reads its new state next.
    return { error: error?.code === 'payment_intent_unexpected_state' ? undefined : error };
  },
  cancel: () => decide('false'),
});
