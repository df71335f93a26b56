"""The client of Stripe: answers that are rare, or that the stand-in never gives."""

import pytest
import stripe

from payments.stripe.client import StripeApi, StripeUnavailable, _to_intent
from payments.stripe.models import NewIntent
from ticketing_common.testing import wait_until
from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.usefixtures("_mended")


@pytest.fixture
async def api(stripe_api):
    api = StripeApi(stripe_api.key, stripe_api.url)
    yield api
    await api.close()


async def captured_intent(api, card="pm_card_visa"):
    new = NewIntent(order_id=new_id(), payment_id=new_id(), amount_cents=1999, idempotency_key=new_id())
    intent = await api.create(new)
    await api.confirm(intent.id, card)
    return await api.capture(intent.id)


async def test_intent_with_an_unknown_status_counts_as_open(intents):
    made = await intents.create_async({"amount": 1999, "currency": "usd"})
    invented = stripe.PaymentIntent.construct_from({**made.to_dict(), "status": "requires_patience"}, "key")
    intent = _to_intent(invented)
    assert (intent.status, intent.decline, intent.kept_cents) == ("open", None, 0)


async def test_unknown_intent_is_missing(api):
    for call in (api.retrieve, api.capture, api.void):
        assert (await call("pi_unknown")).status == "missing"
    assert (await api.confirm("pi_unknown", "pm_card_visa")).status == "missing"


async def test_lookup_that_stripe_rejects_for_another_reason_decides_nothing(api, stripe_api):
    intent = await captured_intent(api)
    stripe_api.add_fault(kind="error", status=400, operation="GET /v1/payment_intents/{id}")
    with pytest.raises(StripeUnavailable):
        await api.retrieve(intent.id)


async def test_second_refund_with_another_key_returns_the_refunded_intent(api):
    intent = await captured_intent(api)
    for _ in range(2):
        refunded = await api.refund(intent, new_id())
        assert (refunded.is_refunded, refunded.kept_cents, refunded.refund_failure) == (True, 0, None)


@pytest.mark.parametrize("is_ours", [True, False])
async def test_refund_that_fails_later_is_a_failure_only_if_this_service_made_it(api, stripe_client, is_ours):
    intent = await captured_intent(api, "pm_card_refundFail")
    if is_ours:
        await api.refund(intent, new_id())
    else:
        await stripe_client.v1.refunds.create_async({"payment_intent": intent.id})

    async def has_failed():
        return not (found := await api.retrieve(intent.id)).is_refunded and found

    found = await wait_until(has_failed)
    assert found.refund_failure == ("expired_or_canceled_card" if is_ours else None)
