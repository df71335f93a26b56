"""The client of Stripe: answers that are rare, or that the stand-in never gives."""

import pytest
from stripe import PaymentIntent
from stripe_faults import RETRIEVE

from payments.stripe.client import StripeUnavailable, _to_intent
from payments.stripe.models import NewIntent
from ticketing_common.testing import wait_until
from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.usefixtures("_mended")


async def captured_intent(stripe, card="pm_card_visa"):
    new = NewIntent(order_id=new_id(), payment_id=new_id(), amount_cents=1999, idempotency_key=new_id())
    intent = await stripe.create(new)
    await stripe.confirm(intent.id, card)
    return await stripe.capture(intent.id)


async def test_intent_with_an_unknown_status_counts_as_open(intents):
    made = await intents.create_async({"amount": 1999, "currency": "usd"})
    invented = PaymentIntent.construct_from({**made.to_dict(), "status": "requires_patience"}, "key")
    intent = _to_intent(invented)
    assert (intent.status, intent.decline, intent.kept_cents) == ("open", None, 0)


async def test_unknown_intent_is_missing(stripe):
    for call in (stripe.retrieve, stripe.capture, stripe.void):
        assert (await call("pi_unknown")).status == "missing"
    assert (await stripe.confirm("pi_unknown", "pm_card_visa")).status == "missing"


async def test_lookup_that_stripe_rejects_for_another_reason_decides_nothing(stripe, stripe_api):
    intent = await captured_intent(stripe)
    stripe_api.add_fault(kind="error", status=400, operation=RETRIEVE)
    with pytest.raises(StripeUnavailable):
        await stripe.retrieve(intent.id)


async def test_second_refund_with_another_key_returns_the_refunded_intent(stripe):
    intent = await captured_intent(stripe)
    for _ in range(2):
        refunded = await stripe.refund(intent, new_id())
        assert (refunded.is_refunded, refunded.kept_cents, refunded.refund_failure) == (True, 0, None)


@pytest.mark.parametrize("is_ours", [True, False])
async def test_refund_that_fails_later_is_a_failure_only_if_this_service_made_it(
    stripe, stripe_client, is_ours
):
    intent = await captured_intent(stripe, "pm_card_refundFail")
    if is_ours:
        await stripe.refund(intent, new_id())
    else:
        await stripe_client.v1.refunds.create_async({"payment_intent": intent.id})

    async def has_failed():
        return not (found := await stripe.retrieve(intent.id)).is_refunded and found

    found = await wait_until(has_failed)
    assert found.refund_failure == ("expired_or_canceled_card" if is_ours else None)
