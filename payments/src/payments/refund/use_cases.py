"""Refunding at Stripe."""

from payments.stripe.client import StripeApi
from payments.stripe.models import StripeIntent


async def refund(stripe: StripeApi, intent_id: str, idempotency_key: str) -> StripeIntent:
    """Give back all that was captured, once, however often this is called.

    Returns the intent as refunded, or with the code of the failed refund. Raises StripeUnavailable.
    """
    intent = await stripe.retrieve(intent_id)
    if intent.status != "captured" or intent.is_refunded or intent.refund_failure:
        return intent
    return await stripe.refund(intent, idempotency_key)
