// Calls of the stand-in's API, from its own pages.

const UNREACHABLE = {
  type: 'api_connection_error',
  message:
    'We are experiencing issues connecting to our payments provider. You have not been charged. Please check your ' +
    'internet connection and try again. If the problem persists, please contact us.',
};

// The answer's body, or { error }. Without a key nobody is named as the caller.
export async function call(method, path, params, key) {
  const form = new URLSearchParams(flat(params));
  const read = method === 'GET';
  try {
    const answer = await fetch(read ? `${path}?${form}` : path, {
      method,
      headers: key ? { Authorization: `Bearer ${key}` } : {},
      body: read ? undefined : form,
    });
    return await answer.json();
  } catch {
    return { error: UNREACHABLE };
  }
}

// { card: { cvc: '123' } } becomes [['card[cvc]', '123']], as Stripe's API has it.
function flat(params, prefix = '') {
  return Object.entries(params)
    .filter(([, value]) => value !== undefined && value !== null)
    .flatMap(([name, value]) => {
      const full = prefix ? `${prefix}[${name}]` : name;
      return typeof value === 'object' ? flat(value, full) : [[full, String(value)]];
    });
}
