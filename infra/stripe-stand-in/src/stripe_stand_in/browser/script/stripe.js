// Stripe(publishableKey) and its methods, with the interface of Stripe.js.

const UNAUTHENTICATED = {
  type: 'invalid_request_error',
  code: 'payment_intent_authentication_failure',
  message:
    'We are unable to authenticate your payment method. Please choose a different payment method and try again.',
};

function createElements(options) {
  rejectUnknown('the options of elements()', options, []);
  let card = null;
  return {
    create(type, cardOptions) {
      requireOneOf('the element type of create()', type, ['card']);
      if (card) throw new IntegrationError('Can only create one Element of type card through Elements.');
      card = createCardElement(cardOptions);
      return card;
    },
  };
}

async function createPaymentMethod(key, given) {
  rejectUnknown('stripe.createPaymentMethod()', given, ['card', 'type']);
  requireOneOf('stripe.createPaymentMethod(): type', given?.type, ['card']);
  const card = internals.get(given.card);
  if (!card) throw new IntegrationError('Invalid value for stripe.createPaymentMethod(): card should be a card Element.');
  return card.createPaymentMethod(key);
}

async function handleNextAction(key, given) {
  rejectUnknown('stripe.handleNextAction()', given, ['clientSecret']);
  const clientSecret = given?.clientSecret;
  if (typeof clientSecret !== 'string' || !/^pi_[^_]+_secret_[^_]+$/.test(clientSecret)) {
    throw new IntegrationError(
      'Invalid value for stripe.handleNextAction() intent secret: value should be a client secret of the form ' +
        `\${id}_secret_\${secret}. You specified: ${clientSecret}.`,
    );
  }
  const bank = openBank();
  try {
    const before = await bank.request('retrieve', { key, clientSecret });
    if (before.error) return before;
    if (before.paymentIntent.status !== 'requires_action') {
      throw new IntegrationError('handleNextAction: The PaymentIntent supplied is not in the requires_action state.');
    }
    bank.show();
    const { error } = await bank.request('authenticate', before.paymentIntent);
    return error ? { error } : resultOf(await bank.request('retrieve', { key, clientSecret }));
  } finally {
    bank.close();
  }
}

// An intent that requires another payment method is an error here, although it is none of Stripe's API.
function resultOf(after) {
  if (after.error || after.paymentIntent.status !== 'requires_payment_method') return after;
  const failure = after.paymentIntent.last_payment_error;
  const error = failure.code === UNAUTHENTICATED.code ? UNAUTHENTICATED : failure;
  return { error: { ...error, payment_intent: after.paymentIntent } };
}

window.Stripe = function Stripe(key, options) {
  if (typeof key !== 'string' || key === '') {
    throw new IntegrationError('Missing value for Stripe(): apiKey should be a string.');
  }
  if (!key.startsWith('pk_')) {
    throw new IntegrationError('Stripe(): please pass a publishable key, never a secret one.');
  }
  rejectUnknown('the options of Stripe()', options, []);
  return {
    elements: createElements,
    createPaymentMethod: (given) => createPaymentMethod(key, given),
    handleNextAction: (given) => handleNextAction(key, given),
  };
};
