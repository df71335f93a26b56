"""What a crash, an outage or a loss at Stripe leaves in doubt is settled."""

from datetime import timedelta

import pytest
from buyer import BUYER, decide, intents_of, metric, pay, place_order, reaches

from payments.main import create
from payments.models import begin
from payments.schedule import heard
from payments.stripe_api import StripeApi
from ticketing_common.testing import serve_app, wait_until
from ticketing_common.values.clock import now

pytestmark = pytest.mark.usefixtures("_mended")


async def test_an_intent_that_stripe_has_lost_is_replaced_and_counted(client, bus, intents, payments):
    order_id = await place_order(bus)
    assert (await pay(client, order_id, "tok_unknown")).status_code == 400
    await payments.change(order_id, lambda p: p.evolve(stripe_id="pi_lost"))
    before = await metric(client, "ticketing_payment_disagreements_total")
    answer = await pay(client, order_id)
    assert answer.status_code == 201, answer.text
    assert await metric(client, "ticketing_payment_disagreements_total") == before + 1
    (paid,) = [i for i in await intents_of(intents, order_id) if i.status == "requires_capture"]
    assert (await payments.of_order(order_id)).stripe_id == paid.id


@pytest.mark.parametrize("key_no", [0, 1], ids=["the first key", "a later key, and a look that fails"])
async def test_a_call_that_comes_late_gets_the_intent_that_its_recovery_has_made(
    client, bus, intents, payments, stripe_api, key_no
):
    """The call was cut off on its way to Stripe, and arrives after everybody has given it up."""
    order_id = await place_order(bus)
    await payments.of_order(order_id)
    stripe_api.fault(kind="error", status=500, operation="GET /v1/payment_intents", times=key_no)
    begun = await payments.change(
        order_id, lambda p: heard(begin(p.evolve(key_no=key_no), BUYER.id, now()), now())
    )

    async def noted():
        return (await payments.of_order(order_id)).stripe_id

    stripe_id = await wait_until(noted)
    late = StripeApi(stripe_api.key, stripe_api.url)
    assert (await late.create(begun)).stripe_id == stripe_id
    await late.close()
    await decide(bus, order_id, "cancel")
    await reaches(intents, order_id, "canceled")


async def test_what_was_put_off_is_settled_at_once_after_a_restart(
    settings, bus, database, intents, stripe_api, payments
):
    async with serve_app(create(settings)) as client:
        order_id = await place_order(bus)
        assert (await pay(client, order_id)).status_code == 201
        stripe_api.fault(kind="error", status=503, operation="POST /v1/payment_intents/{id}/capture")
        await decide(bus, order_id, "complete")

        async def tried():
            return (await payments.of_order(order_id)).failures

        await wait_until(tried)
    stripe_api.mend()
    await payments.change(order_id, lambda p: p.evolve(settle_at=now() + timedelta(hours=1)))
    async with serve_app(create(settings)):
        await reaches(intents, order_id, "succeeded")
