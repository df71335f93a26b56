"""Stripe errs, is slow, loses answers or is down: no money is lost, doubled or left in doubt."""

import asyncio
import statistics
import time

import pytest
from buyer import decide, intents_of, metric, pay, place_order, reaches

from payments.schedule import LONGEST_WAIT
from ticketing_common.testing import published, wait_until
from ticketing_common.values.events import PaymentCreated, PaymentFailed, PaymentRefunded, PaymentRefundFailed

CREATE = "POST /v1/payment_intents"
LIST = "GET /v1/payment_intents"
CONFIRM = "POST /v1/payment_intents/{id}/confirm"
CAPTURE = "POST /v1/payment_intents/{id}/capture"
CANCEL = "POST /v1/payment_intents/{id}/cancel"
REFUND = "POST /v1/refunds"


pytestmark = pytest.mark.usefixtures("_mended")


TROUBLES = [
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


@pytest.mark.parametrize("trouble", TROUBLES, ids=named)
@pytest.mark.parametrize("operation", [CREATE, CONFIRM])
async def test_a_payment_survives_two_troubles_on_its_way(
    client, bus, intents, stripe_api, operation, trouble
):
    order_id = await place_order(bus)
    stripe_api.fault(**trouble, operation=operation, times=2)
    answer = await pay(client, order_id)
    assert answer.status_code == 201, answer.text
    await wait_until(lambda: published(bus, PaymentCreated))
    await decide(bus, order_id, "complete")
    await reaches(intents, order_id, "succeeded")  # which also finds that there is one intent only


async def test_an_intent_that_a_500_has_made_is_looked_for_until_stripe_can_say(
    client, bus, intents, stripe_api
):
    order_id = await place_order(bus)
    stripe_api.fault(kind="error", status=500, after=True, operation=CREATE, times=1)
    stripe_api.fault(kind="error", status=500, operation=LIST, times=1)
    assert (await pay(client, order_id)).status_code == 201
    assert len(await intents_of(intents, order_id)) == 1


@pytest.mark.parametrize("trouble", TROUBLES, ids=named)
async def test_a_decline_survives_trouble_and_is_told_as_such(client, bus, stripe_api, trouble):
    order_id = await place_order(bus)
    stripe_api.fault(**trouble, operation=CONFIRM, times=1)
    answer = await pay(client, order_id, "tok_chargeDeclined")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "card_declined")
    await wait_until(lambda: published(bus, PaymentFailed))


@pytest.mark.parametrize("trouble", TROUBLES, ids=named)
@pytest.mark.parametrize(
    ("how", "operation", "status"), [("complete", CAPTURE, "succeeded"), ("cancel", CANCEL, "canceled")]
)
async def test_what_is_due_is_tried_until_it_is_done(
    client, bus, intents, stripe_api, how, operation, status, trouble
):
    order_id = await place_order(bus)
    assert (await pay(client, order_id)).status_code == 201
    stripe_api.fault(**trouble, operation=operation, times=1)
    await decide(bus, order_id, how)
    await reaches(intents, order_id, status)


async def sold(client, bus, intents, card="tok_visa"):
    order_id = await place_order(bus)
    assert (await pay(client, order_id, card)).status_code == 201
    await decide(bus, order_id, "complete")
    return order_id, await reaches(intents, order_id, "succeeded")


async def given_back(intents, intent):
    found = await intents.retrieve_async(intent.id, {"expand": ["latest_charge"]})
    return found.latest_charge.amount_refunded


@pytest.mark.parametrize("trouble", [{}, *TROUBLES, {"kind": "error", "status": 400}], ids=named)
async def test_a_refund_is_made_once_whatever_happens(client, bus, intents, stripe_api, trouble):
    order_id, intent = await sold(client, bus, intents)
    if trouble:
        stripe_api.fault(**trouble, operation=REFUND, times=1)
    await decide(bus, order_id, "refund")
    (event,) = await wait_until(lambda: published(bus, PaymentRefunded))
    assert event.order_id == order_id
    assert await given_back(intents, intent) == 1999


async def test_a_refund_of_what_was_given_back_already_is_done(client, bus, intents, stripe_client):
    order_id, intent = await sold(client, bus, intents)
    await stripe_client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1000})
    await decide(bus, order_id, "refund")
    await wait_until(lambda: published(bus, PaymentRefunded))
    assert await given_back(intents, intent) == 1999


async def test_a_disputed_charge_is_not_refunded_and_that_is_told(client, bus, intents):
    order_id, intent = await sold(client, bus, intents, "pm_card_createDispute")
    await decide(bus, order_id, "refund")
    (event,) = await wait_until(lambda: published(bus, PaymentRefundFailed))
    assert (event.order_id, event.code) == (order_id, "charge_disputed")
    assert await given_back(intents, intent) == 0


async def test_when_the_answer_cannot_come_in_time_it_is_503_within_the_budget(
    client, bus, intents, stripe_api
):
    order_id = await place_order(bus)
    stripe_api.fault(kind="delay", seconds=20, operation=CONFIRM)
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
    stripe_api.mend()
    assert (await pay(client, order_id)).status_code == 201
    assert len(await intents_of(intents, order_id)) == 1


async def test_a_stripe_that_refuses_to_make_an_intent_is_503_and_the_order_stays_payable(
    client, bus, stripe_api
):
    order_id = await place_order(bus)
    stripe_api.fault(kind="error", status=400, operation=CREATE, times=1)
    answer = await pay(client, order_id)
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text
    assert (await pay(client, order_id)).status_code == 201


async def test_payments_that_hang_do_not_delay_the_others(client, bus, intents, stripe_api, payments):
    stuck = [await place_order(bus) for _ in range(30)]
    for order_id in stuck:
        assert (await pay(client, order_id)).status_code == 201
    stripe_api.fault(kind="delay", seconds=6, operation=CAPTURE)
    for order_id in stuck:
        await decide(bus, order_id, "complete")
    await wait_until(lambda: asyncio.sleep(0, stripe_api.count_struck() >= 20))
    waits = []
    for _ in range(3):
        other = await place_order(bus)
        assert (await pay(client, other)).status_code == 201
        begun = time.monotonic()
        await decide(bus, other, "cancel")
        await reaches(intents, other, "canceled")
        waits.append(time.monotonic() - begun)
    assert statistics.median(waits) < 1, waits

    async def oldest_is_shown():
        return await metric(client, "ticketing_payment_oldest_due_seconds") > 0.5

    await wait_until(oldest_is_shown)
    stripe_api.mend()
    await asyncio.gather(*(reaches(intents, order_id, "succeeded", LONGEST_WAIT) for order_id in stuck))


async def test_money_that_was_taken_for_an_order_that_is_then_cancelled_goes_back(
    client, bus, intents, payments
):
    """Somebody captured it by hand at Stripe, before the order was decided."""
    order_id = await place_order(bus)
    assert (await pay(client, order_id)).status_code == 201
    (intent,) = await intents_of(intents, order_id)
    await intents.capture_async(intent.id)
    await decide(bus, order_id, "cancel")

    async def ended():
        return (await payments.of_order(order_id)).status == "refunded"

    await wait_until(ended)
    assert await given_back(intents, intent) == 1999
