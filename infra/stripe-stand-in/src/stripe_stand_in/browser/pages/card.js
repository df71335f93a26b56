// The card's fields: formats and checks the input. The site learns whether the card is complete, never its details.

import { call } from './api.js';
import { digitsOf, expiryOf, findBrand, findMistake, format, isIncomplete } from './card_rules.js';
import { connectToSite, sendToSite } from './site.js';
import { applyStyle } from './style.js';

const form = document.getElementById('card');
const brand = document.getElementById('brand');
const inputs = { number: form.elements.cardnumber, expiry: form.elements['exp-date'], cvc: form.elements.cvc };
const names = Object.keys(inputs);
// A missing part is a mistake only in these fields: the buyer has left them, or has submitted the card.
const left = new Set();
let lastState = '';
let ready = false;

const nameOf = (input) => names.find((name) => inputs[name] === input);
const context = () => ({ number: digitsOf(inputs.number.value) });
const check = (name) => findMistake[name](inputs[name].value, context());
const isEmpty = (name) => inputs[name].value === '';

function visibleMistake(name) {
  const error = check(name);
  return error && (left.has(name) || !isIncomplete(error)) ? error : undefined;
}

// Formats the value, and keeps the caret after the same digit.
function reformat(name, deleting) {
  const input = inputs[name];
  const caret = digitsOf(input.value.slice(0, input.selectionStart ?? 0)).length;
  const atEnd = input.selectionStart === input.value.length;
  input.value = format[name](input.value, { ...context(), deleting });
  if (atEnd || document.activeElement !== input) return;
  let position = 0;
  for (let passed = 0; passed < caret; position += 1) if (/\d/.test(input.value[position])) passed += 1;
  input.setSelectionRange(position, position);
}

function refresh() {
  const { brand: brandName } = findBrand(context().number);
  brand.dataset.brand = brandName;
  const errors = Object.fromEntries(names.map((name) => [name, visibleMistake(name)]));
  for (const name of names) {
    if (errors[name]) inputs[name].setAttribute('aria-invalid', 'true');
    else inputs[name].removeAttribute('aria-invalid');
  }
  showPart(errors.number);
  const error = Object.values(errors).find(Boolean);
  const state = {
    empty: names.every(isEmpty),
    complete: names.every((name) => !check(name)),
    error,
    invalid: Boolean(error),
    brand: brandName,
    value: { postalCode: '' },
  };
  if (JSON.stringify(state) === lastState) return;
  const isFirst = lastState === '';
  lastState = JSON.stringify(state);
  if (!isFirst) sendToSite('change', state);
}

// A narrow frame has no room for everything.
function showPart(numberError) {
  const active = nameOf(document.activeElement);
  if (active === 'number' || (!active && numberError)) form.dataset.part = 'number';
  else form.dataset.part = !active && isEmpty('number') ? 'all' : 'rest';
}

function neighbour(name, step) {
  return inputs[names[names.indexOf(name) + step]];
}

form.addEventListener('input', ({ target, inputType = '' }) => {
  const name = nameOf(target);
  left.delete(name);
  const deleting = inputType.startsWith('delete');
  reformat(name, deleting);
  if (name === 'number') reformat('cvc', false); // its length depends on the brand
  refresh();
  if (!deleting && target === document.activeElement && !check(name)) neighbour(name, 1)?.focus();
});

form.addEventListener('keydown', (event) => {
  const { target, key } = event;
  if (key === 'Enter') {
    event.preventDefault();
    sendToSite('submit');
  }
  if (key === 'Backspace' && target.value === '') {
    event.preventDefault();
    neighbour(nameOf(target), -1)?.focus();
  }
});

form.addEventListener('focusin', ({ relatedTarget }) => {
  refresh();
  if (!relatedTarget) sendToSite('focus');
});

form.addEventListener('focusout', ({ target, relatedTarget }) => {
  const name = nameOf(target);
  if (!isEmpty(name)) left.add(name);
  if (!relatedTarget) sendToSite('blur');
  setTimeout(refresh); // the next field has the focus then
});

function sendHeight() {
  sendToSite('height', Math.ceil(form.getBoundingClientRect().height));
}

new ResizeObserver(sendHeight).observe(form);

connectToSite({
  options({ style, disabled = false }) {
    applyStyle(style);
    for (const name of names) inputs[name].disabled = disabled;
    refresh();
    sendHeight();
    if (!ready) sendToSite('ready');
    ready = true;
  },
  async createPaymentMethod({ key }) {
    for (const name of names) left.add(name);
    refresh();
    const error = names.map(check).find(Boolean);
    if (error) return { error };
    const { month, year } = expiryOf(inputs.expiry.value);
    const card = { number: context().number, exp_month: month, exp_year: year, cvc: inputs.cvc.value };
    const answer = await call('POST', '/v1/payment_methods', { type: 'card', card }, key);
    return answer.error ? answer : { paymentMethod: answer };
  },
});
