// The mistakes of the page that uses the script: said aloud, never guessed around.

class IntegrationError extends Error {
  constructor(message) {
    super(message);
    this.name = 'IntegrationError';
  }
}

// What a call comes to when its page in the frame can't be reached, as if Stripe's API could not.
const UNREACHABLE = {
  type: 'api_connection_error',
  message:
    'We are experiencing issues connecting to our payments provider. You have not been charged. Please check your ' +
    'internet connection and try again. If the problem persists, please contact us.',
};

// Throws for what the stand-in does not know, whether Stripe.js knows it or not.
function refuseUnknown(where, given, known) {
  if (given === undefined) return;
  if (typeof given !== 'object' || given === null) {
    throw new IntegrationError(`Invalid value for ${where}: it should be an object.`);
  }
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new IntegrationError(`Invalid value for ${where}: the Stripe stand-in does not know ${unknown.join(', ')}.`);
  }
}

function refuseUnlessOneOf(where, given, choices) {
  if (!choices.includes(given)) {
    const known = choices.map((choice) => `"${choice}"`).join(', ');
    throw new IntegrationError(`Invalid value for ${where}: "${given}". The Stripe stand-in knows ${known}.`);
  }
}
