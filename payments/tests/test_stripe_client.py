"""Answers of Stripe that the stand-in never gives."""

import stripe

from payments.stripe.client import _to_intent


async def test_intent_with_an_unknown_status_counts_as_open(intents):
    made = await intents.create_async({"amount": 1999, "currency": "usd"})
    invented = stripe.PaymentIntent.construct_from({**made.to_dict(), "status": "requires_patience"}, "key")
    intent = _to_intent(invented)
    assert (intent.status, intent.decline, intent.kept_cents) == ("open", None, 0)
