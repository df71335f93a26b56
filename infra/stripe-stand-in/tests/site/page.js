// The events of the Elements, in order: [element, event, detail].
const events = [];

function record(name, element) {
  for (const event of ['ready', 'change', 'focus', 'blur']) element.on(event, (detail) => events.push([name, event, detail]));
}

addEventListener('DOMContentLoaded', () => {
  document.getElementById('form').addEventListener('submit', (event) => {
    event.preventDefault();
    events.push(['form', 'submit', {}]);
  });
});

// Mounts a card Element, and defines the names that the tests use.
function mountCard(key, options) {
  window.stripe = Stripe(key);
  window.elements = stripe.elements();
  window.card = elements.create('card', options);
  record('card', card);
  card.mount('#card');
}

const is = (state) => document.getElementById('card').classList.contains(`StripeElement--${state}`);

async function until(condition) {
  for (let tries = 0; tries < 1500; tries += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`not within 15 s: ${condition}, but ${JSON.stringify(events)}`);
}
