// The rules of a card's number, date and security code. Nothing here touches the page.

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
const MAX_YEARS = 50;

export const digitsOf = (text) => text.replace(/\D/g, '');

export const findBrand = (number) => BRANDS.find(({ starts }) => starts.test(number)) ?? UNKNOWN;

// Each returns the formatted text of a field.
export const format = {
  number(text) {
    const digits = digitsOf(text);
    const { number: length, groups } = findBrand(digits);
    return [...digits.slice(0, length)].map((digit, i) => (groups.includes(i) ? ` ${digit}` : digit)).join('');
  },
  expiry(text, { deleting = false } = {}) {
    let digits = digitsOf(text);
    // "9" and "9/" can only mean September, "13" only January of a year that begins with a 3.
    if (/^[2-9]/.test(digits) || /^1\s*\//.test(text) || /^1[3-9]/.test(digits)) digits = `0${digits}`;
    if (digits.startsWith('00')) digits = '0';
    if (/^..20../.test(digits)) digits = digits.slice(0, 2) + digits.slice(4);
    const [month, year] = [digits.slice(0, 2), digits.slice(2, 4)];
    return month.length < 2 || (deleting && !year) ? month : `${month} / ${year}`;
  },
  cvc: (text, { number }) => digitsOf(text).slice(0, findBrand(number).cvc),
};

export function expiryOf(text) {
  const digits = digitsOf(text);
  return { month: Number(digits.slice(0, 2)), year: 2000 + Number(digits.slice(2)) };
}

// Each returns the error of a field, or undefined.
export const findMistake = {
  number(text) {
    const digits = digitsOf(text);
    if (digits.length < findBrand(digits).number) return mistake('incomplete_number', 'Your card number is incomplete.');
    if (!passesLuhn(digits)) return mistake('invalid_number', 'Your card number is invalid.');
  },
  expiry(text) {
    if (digitsOf(text).length < 4) {
      return mistake('incomplete_expiry', "Your card's expiration date is incomplete.");
    }
    const { month, year } = expiryOf(text);
    const today = new Date();
    if (year < today.getFullYear()) {
      return mistake('invalid_expiry_year_past', "Your card's expiration year is in the past.");
    }
    if (year > today.getFullYear() + MAX_YEARS) {
      return mistake('invalid_expiry_year', "Your card's expiration year is invalid.");
    }
    if (year === today.getFullYear() && month <= today.getMonth()) {
      return mistake('invalid_expiry_month_past', "Your card's expiration date is in the past.");
    }
  },
  cvc(text, { number }) {
    if (text.length < findBrand(number).cvc) {
      return mistake('incomplete_cvc', "Your card's security code is incomplete.");
    }
  },
};

export const isIncomplete = (error) => error.code.startsWith('incomplete_');

function mistake(code, message) {
  return { type: 'validation_error', code, message };
}

function passesLuhn(digits) {
  const sum = [...digits].reverse().reduce((total, digit, i) => {
    const value = Number(digit) * (i % 2 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}
