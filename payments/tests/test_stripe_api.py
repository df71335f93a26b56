"""Stripe's answers in our own words, where the stand-in never gives them."""

import stripe

from payments.stripe_api import _seen


async def test_a_status_that_stripe_has_newly_invented_decides_nothing(intents):
    made = await intents.create_async({"amount": 1999, "currency": "usd"})
    invented = stripe.PaymentIntent.construct_from({**made.to_dict(), "status": "requires_patience"}, "key")
    seen = _seen(invented)
    assert (seen.status, seen.decline, seen.taken_cents) == ("open", None, 0)
