// Errors of the page that uses the script are thrown, as by Stripe.js.

class IntegrationError extends Error {
  constructor(message) {
    super(message);
    this.name = 'IntegrationError';
  }
}

// The result of a call if the page in the frame cannot be loaded.
const UNREACHABLE = {
  type: 'api_connection_error',
  message:
    'We are experiencing issues connecting to our payments provider. You have not been charged. Please check your ' +
    'internet connection and try again. If the problem persists, please contact us.',
};

// Throws for everything that the stand-in does not support, even if Stripe.js does.
function rejectUnknown(where, given, known) {
  if (given === undefined) return;
  if (typeof given !== 'object' || given === null) {
    throw new IntegrationError(`Invalid value for ${where}: it should be an object.`);
  }
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new IntegrationError(
      `Invalid value for ${where}: the Stripe stand-in does not support ${unknown.join(', ')}.`,
    );
  }
}

function requireOneOf(where, given, choices) {
  if (!choices.includes(given)) {
    const supported = choices.map((choice) => `"${choice}"`).join(', ');
    throw new IntegrationError(`Invalid value for ${where}: "${given}". The Stripe stand-in supports ${supported}.`);
  }
}
