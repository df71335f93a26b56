"""Stripe fails, is slow, or its response is lost while a buyer pays: no payment is lost or made twice."""

import asyncio
import time

import pytest
from buyer import decide, intents_of, pay, place_order, reaches
from stripe_faults import CONFIRM, CREATE, FAULTS, LIST, named

from ticketing_common.testing import published, wait_until
from ticketing_common.values.events import PaymentCreated, PaymentFailed

pytestmark = pytest.mark.usefixtures("_mended")


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
