"""Stripe fails, is slow, or its response is lost: no payment is lost, made twice or left in doubt."""

import asyncio
import statistics
import time

import pytest
from buyer import decide, intents_of, metric, pay, place_order, reaches

from payments.payment.scheduling import MAX_BACK_OFF
from ticketing_common.testing import published, wait_until
from ticketing_common.values.events import PaymentCreated, PaymentFailed, PaymentRefunded, PaymentRefundFailed

CREATE = "POST /v1/payment_intents"
LIST = "GET /v1/payment_intents"
CONFIRM = "POST /v1/payment_intents/{id}/confirm"
CAPTURE = "POST /v1/payment_intents/{id}/capture"
CANCEL = "POST /v1/payment_intents/{id}/cancel"
REFUND = "POST /v1/refunds"


pytestmark = pytest.mark.usefixtures("_mended")


FAULTS = [
    {"kind": "error", "status": 500},
    {"kind": "error", "status": 500, "after": True},
    {"kind": "error", "status": 503},
    {"kind": "error", "status": 429},
    {"kind": "error", "status": 409},
    {"kind": "lost"},
    {"kind": "down"},
]


def named(value):
    return value if isinstance(value, str) else "-".join(str(each) for each in value.values())


@pytest.mark.parametrize("fault", FAULTS, ids=named)
@pytest.mark.parametrize("operation", [CREATE, CONFIRM])
async def test_payment_succeeds_after_two_faults(client, bus, intents, stripe_api, operation, fault):
    order_id = await place_order(bus)
    stripe_api.add_fault(**fault, operation=operation, times=2)
    answer = await pay(client, order_id)
    assert answer.status_code == 201, answer.text
    await wait_until(lambda: published(bus, PaymentCreated))
    await decide(bus, order_id, "complete")
    await reaches(intents, order_id, "succeeded")  # also checks that there is only one intent


async def test_intent_created_by_a_call_that_failed_is_found_once_stripe_answers(
    client, bus, intents, stripe_api
):
    order_id = await place_order(bus)
    stripe_api.add_fault(kind="error", status=500, after=True, operation=CREATE, times=1)
    stripe_api.add_fault(kind="error", status=500, operation=LIST, times=1)
    assert (await pay(client, order_id)).status_code == 201
    assert len(await intents_of(intents, order_id)) == 1


@pytest.mark.parametrize("fault", FAULTS, ids=named)
async def test_decline_is_returned_after_a_fault(client, bus, stripe_api, fault):
    order_id = await place_order(bus)
    stripe_api.add_fault(**fault, operation=CONFIRM, times=1)
    answer = await pay(client, order_id, "tok_chargeDeclined")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "card_declined")
    await wait_until(lambda: published(bus, PaymentFailed))


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


async def test_request_is_503_within_its_time_limit_if_stripe_is_slow(client, bus, intents, stripe_api):
    order_id = await place_order(bus)
    stripe_api.add_fault(kind="delay", seconds=20, operation=CONFIRM)
    begun = time.monotonic()
    paying = asyncio.create_task(pay(client, order_id))
    await asyncio.sleep(0.5)
    for _ in range(20):
        asked = time.monotonic()
        assert (await client.get("/api/payments/config")).status_code == 200
        assert time.monotonic() - asked < 0.5
    answer = await paying
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert 4 < time.monotonic() - begun < 11
    stripe_api.clear_faults()
    assert (await pay(client, order_id)).status_code == 201
    assert len(await intents_of(intents, order_id)) == 1


async def test_rejected_creation_of_an_intent_is_503_and_the_order_stays_payable(client, bus, stripe_api):
    order_id = await place_order(bus)
    stripe_api.add_fault(kind="error", status=400, operation=CREATE, times=1)
    answer = await pay(client, order_id)
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text
    assert (await pay(client, order_id)).status_code == 201


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
