// The card's fields: what is typed is put in shape and checked, and the site hears how complete it is, never what it is.

import { call } from './api.js';
import { digitsOf, expiryOf, isIncomplete, kindOf, mistake, shown } from './card_rules.js';
import { focusOn } from './focus.js';
import { listenToSite, tellSite } from './site.js';
import { applyStyle } from './style.js';

const form = document.getElementById('card');
const brand = document.getElementById('brand');
const inputs = {
  number: form.elements.cardnumber,
  expiry: form.elements['exp-date'],
  cvc: form.elements.cvc,
  postalCode: form.elements.postal,
};
const names = Object.keys(inputs);
// Fields that were left, or were there when the card was asked for: only there is something missing a mistake.
const left = new Set();
let lastState = '';
let ready = false;

const asked = () => names.filter((name) => !inputs[name].hidden);
const nameOf = (input) => names.find((name) => inputs[name] === input);
const context = () => ({ number: digitsOf(inputs.number.value) });
const check = (name) => mistake[name](inputs[name].value, context());
const isEmpty = (name) => inputs[name].value === '';

function shownMistake(name) {
  const error = check(name);
  return error && (left.has(name) || !isIncomplete(error)) ? error : undefined;
}

// Puts the value in shape, and leaves the caret after the digit that it was after.
function reshape(name, deleting) {
  const input = inputs[name];
  const caret = digitsOf(input.value.slice(0, input.selectionStart ?? 0)).length;
  const atEnd = input.selectionStart === input.value.length;
  input.value = shown[name](input.value, { ...context(), deleting });
  if (atEnd || document.activeElement !== input) return;
  let position = 0;
  for (let passed = 0; passed < caret; position += 1) if (/\d/.test(input.value[position])) passed += 1;
  input.setSelectionRange(position, position);
}

function refresh() {
  const kind = kindOf(context().number).brand;
  brand.dataset.brand = kind;
  const errors = Object.fromEntries(asked().map((name) => [name, shownMistake(name)]));
  for (const name of asked()) {
    if (errors[name]) inputs[name].setAttribute('aria-invalid', 'true');
    else inputs[name].removeAttribute('aria-invalid');
  }
  showPart(errors.number);
  const error = Object.values(errors).find(Boolean);
  const state = {
    empty: asked().every(isEmpty),
    complete: asked().every((name) => !check(name)),
    error,
    invalid: Boolean(error),
    brand: kind,
    value: { postalCode: inputs.postalCode.value },
  };
  if (JSON.stringify(state) === lastState) return;
  const first = lastState === '';
  lastState = JSON.stringify(state);
  if (!first) tellSite('change', state);
}

// In a narrow frame not everything can be seen at once.
function showPart(numberError) {
  const active = nameOf(document.activeElement);
  if (active === 'number' || (!active && numberError)) form.dataset.part = 'number';
  else form.dataset.part = !active && isEmpty('number') ? 'all' : 'rest';
}

function neighbour(name, step) {
  return inputs[asked()[asked().indexOf(name) + step]];
}

form.addEventListener('input', ({ target, inputType = '' }) => {
  const name = nameOf(target);
  left.delete(name);
  const deleting = inputType.startsWith('delete');
  reshape(name, deleting);
  if (name === 'number') reshape('cvc', false); // its length is the brand's
  refresh();
  if (!deleting && target === document.activeElement && !check(name)) neighbour(name, 1)?.focus();
});

form.addEventListener('keydown', (event) => {
  const { target, key } = event;
  if (key === 'Enter') {
    event.preventDefault();
    tellSite('submit');
  }
  if (key === 'Backspace' && target.value === '') {
    event.preventDefault();
    neighbour(nameOf(target), -1)?.focus();
  }
});

form.addEventListener('focusin', ({ relatedTarget }) => {
  refresh();
  if (!relatedTarget) tellSite('focus');
});

form.addEventListener('focusout', ({ target, relatedTarget }) => {
  const name = nameOf(target);
  if (!isEmpty(name)) left.add(name);
  if (!relatedTarget) tellSite('blur');
  setTimeout(refresh); // when the next field has the focus
});

function tellHeight() {
  tellSite('height', Math.ceil(form.getBoundingClientRect().height));
}

new ResizeObserver(tellHeight).observe(form);

listenToSite({
  options({ style, hidePostalCode = false, disabled = false }) {
    applyStyle(style);
    for (const name of names) inputs[name].disabled = disabled;
    inputs.postalCode.hidden = hidePostalCode;
    refresh();
    tellHeight();
    if (!ready) tellSite('ready');
    ready = true;
  },
  focus: () => focusOn(inputs.number),
  blur: () => document.activeElement.blur(),
  clear() {
    left.clear();
    for (const name of names) inputs[name].value = '';
    refresh();
  },
  async createPaymentMethod({ key, billing_details: billing, metadata }) {
    for (const name of asked()) left.add(name);
    refresh();
    const error = asked().map(check).find(Boolean);
    if (error) return { error };
    const { month, year } = expiryOf(inputs.expiry.value);
    const card = { number: context().number, exp_month: month, exp_year: year, cvc: inputs.cvc.value };
    const given = inputs.postalCode.hidden ? {} : { address: { postal_code: inputs.postalCode.value } };
    const billing_details = { ...billing, address: { ...billing?.address, ...given.address } };
    const answer = await call('POST', '/v1/payment_methods', { type: 'card', card, billing_details, metadata }, key);
    return answer.error ? answer : { paymentMethod: answer };
  },
});
