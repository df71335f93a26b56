// What a card's number, date and codes look like, as typed and as shown; nothing here touches the page.

const USUAL = { number: 16, groups: [4, 8, 12], cvc: 3 };
const BRANDS = [
  { brand: 'amex', starts: /^3[47]/, ...USUAL, number: 15, groups: [4, 10], cvc: 4 },
  { brand: 'diners', starts: /^3(0[0-5]|[689])/, ...USUAL, number: 14, groups: [4, 10] },
  { brand: 'jcb', starts: /^35/, ...USUAL },
  { brand: 'visa', starts: /^4/, ...USUAL },
  { brand: 'mastercard', starts: /^(5[1-5]|2[2-7])/, ...USUAL },
  { brand: 'unionpay', starts: /^62/, ...USUAL },
  { brand: 'discover', starts: /^6(011|4[4-9]|5)/, ...USUAL },
];
const UNKNOWN = { brand: 'unknown', ...USUAL };
const POSTAL_CODE = 5; // the test cards are all from the US
const FARTHEST_YEARS = 50;

export const digitsOf = (text) => text.replace(/\D/g, '');

export const kindOf = (number) => BRANDS.find(({ starts }) => starts.test(number)) ?? UNKNOWN;

// Each takes what is in the field, and gives what is to be there.
export const shown = {
  number(text) {
    const digits = digitsOf(text);
    const { number: length, groups } = kindOf(digits);
    return [...digits.slice(0, length)].map((digit, i) => (groups.includes(i) ? ` ${digit}` : digit)).join('');
  },
  expiry(text, { deleting = false } = {}) {
    let digits = digitsOf(text);
    // "9", "9/" and "13" can only be September, September and January of a year that begins with a 3.
    if (/^[2-9]/.test(digits) || /^1\s*\//.test(text) || /^1[3-9]/.test(digits)) digits = `0${digits}`;
    if (digits.startsWith('00')) digits = '0';
    if (/^..20../.test(digits)) digits = digits.slice(0, 2) + digits.slice(4);
    const [month, year] = [digits.slice(0, 2), digits.slice(2, 4)];
    return month.length < 2 || (deleting && !year) ? month : `${month} / ${year}`;
  },
  cvc: (text, { number }) => digitsOf(text).slice(0, kindOf(number).cvc),
  postalCode: (text) => digitsOf(text).slice(0, POSTAL_CODE),
};

export function expiryOf(text) {
  const digits = digitsOf(text);
  return { month: Number(digits.slice(0, 2)), year: 2000 + Number(digits.slice(2)) };
}

// What is wrong with the field's value, or undefined.
export const mistake = {
  number(text) {
    const digits = digitsOf(text);
    if (digits.length < kindOf(digits).number) return invalid('incomplete_number', 'Your card number is incomplete.');
    if (!passesLuhn(digits)) return invalid('invalid_number', 'Your card number is invalid.');
  },
  expiry(text) {
    if (digitsOf(text).length < 4) {
      return invalid('incomplete_expiry', "Your card's expiration date is incomplete.");
    }
    const { month, year } = expiryOf(text);
    const today = new Date();
    if (year < today.getFullYear()) {
      return invalid('invalid_expiry_year_past', "Your card's expiration year is in the past.");
    }
    if (year > today.getFullYear() + FARTHEST_YEARS) {
      return invalid('invalid_expiry_year', "Your card's expiration year is invalid.");
    }
    if (year === today.getFullYear() && month <= today.getMonth()) {
      return invalid('invalid_expiry_month_past', "Your card's expiration date is in the past.");
    }
  },
  cvc(text, { number }) {
    if (text.length < kindOf(number).cvc) {
      return invalid('incomplete_cvc', "Your card's security code is incomplete.");
    }
  },
  postalCode(text) {
    if (text.length < POSTAL_CODE) return invalid('incomplete_zip', 'Your postal code is incomplete.');
  },
};

export const isIncomplete = (error) => error.code.startsWith('incomplete_');

function invalid(code, message) {
  return { type: 'validation_error', code, message };
}

function passesLuhn(digits) {
  const sum = [...digits].reverse().reduce((total, digit, i) => {
    const value = Number(digit) * (i % 2 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}
