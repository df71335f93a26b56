// Stripe(publishableKey) and its methods, each as Stripe.js has it.

const LOCALES = ['auto', 'en'];
const UNAUTHENTICATED = {
  type: 'invalid_request_error',
  code: 'payment_intent_authentication_failure',
  message:
    'We are unable to authenticate your payment method. Please choose a different payment method and try again.',
};

function checkLocale(where, options) {
  refuseUnknown(where, options, ['locale']);
  refuseUnlessOneOf(`${where}: locale`, options?.locale ?? 'auto', LOCALES);
}

function checkSecret(where, secret) {
  if (typeof secret === 'string' && /^pi_[^_]+_secret_[^_]+$/.test(secret)) return;
  throw new IntegrationError(
    `Invalid value for ${where}: value should be a client secret of the form \${id}_secret_\${secret}. ` +
      `You specified: ${secret}.`,
  );
}

function createElements(options) {
  checkLocale('the options of elements()', options);
  let card = null;
  return {
    create(type, cardOptions) {
      refuseUnlessOneOf('the element type of create()', type, ['card']);
      if (card) throw new IntegrationError('Can only create one Element of type card through Elements.');
      card = createCardElement(cardOptions, () => {
        card = null;
      });
      return card;
    },
    getElement(type) {
      refuseUnlessOneOf('the element type of getElement()', type, ['card']);
      return card;
    },
  };
}

async function createPaymentMethod(key, given) {
  refuseUnknown('stripe.createPaymentMethod()', given, ['billing_details', 'card', 'metadata', 'type']);
  refuseUnlessOneOf('stripe.createPaymentMethod(): type', given?.type, ['card']);
  const fields = fieldsOf.get(given.card);
  if (!fields) throw new IntegrationError('Invalid value for stripe.createPaymentMethod(): card should be a card Element.');
  if (fields.asksForPostalCode() && given.billing_details?.address?.postal_code) {
    throw new IntegrationError('The card Element asks for the postal code: leave it out of billing_details, or hide it.');
  }
  return fields.createPaymentMethod({ key, billing_details: given.billing_details, metadata: given.metadata });
}

async function retrievePaymentIntent(key, clientSecret) {
  checkSecret('stripe.retrievePaymentIntent() intent secret', clientSecret);
  const bank = openBank();
  try {
    return await bank.ask('retrieve', { key, clientSecret });
  } finally {
    bank.close();
  }
}

async function handleNextAction(key, given) {
  refuseUnknown('stripe.handleNextAction()', given, ['clientSecret']);
  const clientSecret = given?.clientSecret;
  checkSecret('stripe.handleNextAction() intent secret', clientSecret);
  const bank = openBank();
  try {
    const before = await bank.ask('retrieve', { key, clientSecret });
    if (before.error) return before;
    const { status, next_action: action } = before.paymentIntent;
    if (status !== 'requires_action') {
      throw new IntegrationError('handleNextAction: The PaymentIntent supplied is not in the requires_action state.');
    }
    if (action.type !== 'use_stripe_sdk') {
      throw new IntegrationError(`handleNextAction: the Stripe stand-in does not know the next action ${action.type}.`);
    }
    bank.show();
    const { error } = await bank.ask('authenticate', before.paymentIntent);
    return error ? { error } : outcome(await bank.ask('retrieve', { key, clientSecret }));
  } finally {
    bank.close();
  }
}

// An intent that wants another card is a failure, though Stripe's API calls it none.
function outcome(after) {
  if (after.error || after.paymentIntent.status !== 'requires_payment_method') return after;
  const failure = after.paymentIntent.last_payment_error;
  const why = failure.code === UNAUTHENTICATED.code ? UNAUTHENTICATED : failure;
  return { error: { ...why, payment_intent: after.paymentIntent } };
}

window.Stripe = function Stripe(key, options) {
  if (typeof key !== 'string' || key === '') {
    throw new IntegrationError('Missing value for Stripe(): apiKey should be a string.');
  }
  if (!key.startsWith('pk_')) {
    throw new IntegrationError('Stripe(): please pass a publishable key, never a secret one.');
  }
  checkLocale('the options of Stripe()', options);
  return {
    elements: createElements,
    createPaymentMethod: (given) => createPaymentMethod(key, given),
    handleNextAction: (given) => handleNextAction(key, given),
    retrievePaymentIntent: (clientSecret) => retrievePaymentIntent(key, clientSecret),
  };
};
