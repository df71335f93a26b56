// Calls the stand-in's API from its own pages.

const UNREACHABLE = {
  type: 'api_connection_error',
  message:
    'We are experiencing issues connecting to our payments provider. You have not been charged. Please check your ' +
    'internet connection and try again. If the problem persists, please contact us.',
};

// Returns the body of the answer, or { error }. The key is optional.
export async function call(method, path, params, key) {
  const form = new URLSearchParams(flatten(params));
  const isGet = method === 'GET';
  try {
    const answer = await fetch(isGet ? `${path}?${form}` : path, {
      method,
      headers: key ? { Authorization: `Bearer ${key}` } : {},
      body: isGet ? undefined : form,
    });
    return await answer.json();
  } catch {
    return { error: UNREACHABLE };
  }
}

// { card: { cvc: '123' } } becomes [['card[cvc]', '123']], as Stripe's API expects.
function flatten(params, prefix = '') {
  return Object.entries(params).flatMap(([name, value]) => {
    const fullName = prefix ? `${prefix}[${name}]` : name;
    return typeof value === 'object' ? flatten(value, fullName) : [[fullName, String(value)]];
  });
}
