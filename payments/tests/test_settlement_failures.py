"""Stripe fails, hangs, or its response is lost during a capture, void or refund: each is made once."""

import asyncio
import statistics
import time

import pytest
from buyer import decide, intents_of, metric, pay, place_order, reaches
from stripe_faults import CANCEL, CAPTURE, FAULTS, REFUND, named

from payments.payment.scheduling import MAX_BACK_OFF
from ticketing_common.testing import published, wait_until
from ticketing_common.values.events import PaymentRefunded, PaymentRefundFailed

pytestmark = pytest.mark.usefixtures("_mended")


@pytest.mark.parametrize("fault", FAULTS, ids=named)
@pytest.mark.parametrize(
    ("how", "operation", "status"), [("complete", CAPTURE, "succeeded"), ("cancel", CANCEL, "canceled")]
)
async def test_capture_and_void_are_retried_until_they_succeed(
    client, bus, intents, stripe_api, how, operation, status, fault
):
    order_id = await place_order(bus)
    assert (await pay(client, order_id)).status_code == 201
    stripe_api.add_fault(**fault, operation=operation, times=1)
    await decide(bus, order_id, how)
    await reaches(intents, order_id, status)


async def sell(client, bus, intents, card="tok_visa"):
    order_id = await place_order(bus)
    assert (await pay(client, order_id, card)).status_code == 201
    await decide(bus, order_id, "complete")
    return order_id, await reaches(intents, order_id, "succeeded")


async def refunded_cents(intents, intent):
    found = await intents.retrieve_async(intent.id, {"expand": ["latest_charge"]})
    return found.latest_charge.amount_refunded


@pytest.mark.parametrize("fault", [{}, *FAULTS, {"kind": "error", "status": 400}], ids=named)
async def test_refund_is_made_once_after_any_fault(client, bus, intents, stripe_api, fault):
    order_id, intent = await sell(client, bus, intents)
    if fault:
        stripe_api.add_fault(**fault, operation=REFUND, times=1)
    await decide(bus, order_id, "refund")
    (event,) = await wait_until(lambda: published(bus, PaymentRefunded))
    assert event.order_id == order_id
    assert await refunded_cents(intents, intent) == 1999


async def test_refund_completes_a_partial_refund_made_at_stripe(client, bus, intents, stripe_client):
    order_id, intent = await sell(client, bus, intents)
    await stripe_client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1000})
    await decide(bus, order_id, "refund")
    await wait_until(lambda: published(bus, PaymentRefunded))
    assert await refunded_cents(intents, intent) == 1999


async def test_refused_refund_of_a_disputed_charge_is_published(client, bus, intents):
    order_id, intent = await sell(client, bus, intents, "pm_card_createDispute")
    await decide(bus, order_id, "refund")
    (event,) = await wait_until(lambda: published(bus, PaymentRefundFailed))
    assert (event.order_id, event.code) == (order_id, "charge_disputed")
    assert await refunded_cents(intents, intent) == 0


async def test_settlements_that_hang_do_not_delay_others(client, bus, intents, stripe_api, payments):
    stuck = [await place_order(bus) for _ in range(30)]
    for order_id in stuck:
        assert (await pay(client, order_id)).status_code == 201
    stripe_api.add_fault(kind="delay", seconds=6, operation=CAPTURE)
    for order_id in stuck:
        await decide(bus, order_id, "complete")
    await wait_until(lambda: asyncio.sleep(0, stripe_api.count_struck_calls() >= 20))
    waits = []
    for _ in range(3):
        other = await place_order(bus)
        assert (await pay(client, other)).status_code == 201
        begun = time.monotonic()
        await decide(bus, other, "cancel")
        await reaches(intents, other, "canceled")
        waits.append(time.monotonic() - begun)
    assert statistics.median(waits) < 1, waits

    async def oldest_is_measured():
        return await metric(client, "ticketing_payment_oldest_due_seconds") > 0.5

    await wait_until(oldest_is_measured)
    stripe_api.clear_faults()
    # A capture that hangs now fails once more, and then waits for its back-off.
    seconds = MAX_BACK_OFF + 10
    await asyncio.gather(*(reaches(intents, order_id, "succeeded", seconds) for order_id in stuck))


async def test_payment_captured_before_its_order_is_cancelled_is_refunded(client, bus, intents, payments):
    """A person captured it at Stripe before the order was decided."""
    order_id = await place_order(bus)
    assert (await pay(client, order_id)).status_code == 201
    (intent,) = await intents_of(intents, order_id)
    await intents.capture_async(intent.id)
    await decide(bus, order_id, "cancel")

    async def is_refunded():
        return (await payments.get_by_order(order_id)).status == "refunded"

    await wait_until(is_refunded)
    assert await refunded_cents(intents, intent) == 1999
