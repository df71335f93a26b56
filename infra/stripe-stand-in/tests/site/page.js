// What the Elements told, in order: [which, event, detail].
const told = [];

function tell(name, element) {
  for (const event of ['ready', 'change', 'focus', 'blur']) element.on(event, (detail) => told.push([name, event, detail]));
}

addEventListener('DOMContentLoaded', () => {
  document.getElementById('form').addEventListener('submit', (event) => {
    event.preventDefault();
    told.push(['form', 'submit', {}]);
  });
});

// A card Element in the container, and all that the tests want by name.
function take(key, options) {
  window.stripe = Stripe(key);
  window.elements = stripe.elements();
  window.card = elements.create('card', options);
  tell('card', card);
  card.mount('#card');
}

const is = (state) => document.getElementById('card').classList.contains(`StripeElement--${state}`);

async function until(condition) {
  for (let tries = 0; tries < 500; tries += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`in 5 s not: ${condition}, but ${JSON.stringify(told)}`);
}
