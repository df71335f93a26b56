"""The settlement resolves what a crash, an outage or a loss at Stripe leaves in doubt."""

from datetime import timedelta

import pytest
from buyer import BUYER, decide, intents_of, metric, pay, place_order, reaches
from stripe_faults import CAPTURE, LIST

from payments.main import create
from payments.payment.models import new_intent, start_attempt
from payments.payment.scheduling import schedule_look_now
from payments.payment.use_cases import change_payment
from ticketing_common.testing import serve_app, wait_until
from ticketing_common.values.clock import now

pytestmark = pytest.mark.usefixtures("_mended")


async def test_intent_lost_at_stripe_is_replaced_and_counted_as_a_disagreement(
    client, bus, intents, payments
):
    order_id = await place_order(bus)
    assert (await pay(client, order_id, "tok_unknown")).status_code == 400
    await change_payment(payments, order_id, lambda p: p.evolve(stripe_id="pi_lost"))
    before = await metric(client, "ticketing_payment_disagreements_total")
    answer = await pay(client, order_id)
    assert answer.status_code == 201, answer.text
    assert await metric(client, "ticketing_payment_disagreements_total") == before + 1
    (paid,) = [i for i in await intents_of(intents, order_id) if i.status == "requires_capture"]
    assert (await payments.get_by_order(order_id)).stripe_id == paid.id


@pytest.mark.parametrize("key_no", [0, 1], ids=["first key", "later key and a failed search"])
async def test_delayed_call_gets_the_intent_that_its_recovery_created(
    client, bus, intents, payments, stripe, stripe_api, key_no
):
    """The call was delayed on its way to Stripe, and arrives after the settlement has repeated it."""
    order_id = await place_order(bus)
    await payments.get_by_order(order_id)
    stripe_api.add_fault(kind="error", status=500, operation=LIST, times=key_no)
    begun = await change_payment(
        payments,
        order_id,
        lambda p: schedule_look_now(
            start_attempt(p.evolve(idempotency_key_no=key_no), BUYER.id, now()), now()
        ),
    )

    async def recorded():
        return (await payments.get_by_order(order_id)).stripe_id

    stripe_id = await wait_until(recorded)
    assert (await stripe.create(new_intent(begun))).id == stripe_id
    await decide(bus, order_id, "cancel")
    await reaches(intents, order_id, "canceled")


async def test_postponed_payment_is_settled_immediately_after_a_restart(
    settings, bus, database, intents, stripe_api, payments
):
    async with serve_app(create(settings)) as client:
        order_id = await place_order(bus)
        assert (await pay(client, order_id)).status_code == 201
        stripe_api.add_fault(kind="error", status=503, operation=CAPTURE)
        await decide(bus, order_id, "complete")

        async def has_failed():
            return (await payments.get_by_order(order_id)).failures

        await wait_until(has_failed)
    stripe_api.clear_faults()
    await change_payment(payments, order_id, lambda p: p.evolve(settle_at=now() + timedelta(hours=1)))
    async with serve_app(create(settings)):
        await reaches(intents, order_id, "succeeded")
