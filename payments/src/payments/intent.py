"""Making a payment's one PaymentIntent, and noting it before the bank is asked."""

from functools import partial

from payments.models import Payment, Seen, may_have_lost_an_intent, note, renew_key
from payments.repository import Payments
from payments.stripe_api import StripeApi, StripeUnavailable
from ticketing_common.values.clock import now


async def make_intent(payment: Payment, payments: Payments, stripe: StripeApi) -> tuple[Payment, Seen]:
    """The payment, which has noted its intent, and the intent that was found or made.

    The same idempotency key gets the same intent, so a call that was cut off, and arrives at Stripe only now,
    a sweep and another click all end with one. The first one noted stays.
    """
    try:
        found = await stripe.find(payment) if may_have_lost_an_intent(payment, now()) else None
        made = found or await stripe.create(payment)
    except StripeUnavailable as error:
        if error.key_is_spent:
            await payments.change(payment.order_id, partial(renew_key, spent=payment.key_no))
        raise
    return await payments.change(payment.order_id, partial(note, stripe_id=made.stripe_id)), made
