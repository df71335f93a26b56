"""Money end to end: 3-D Secure, webhooks, refunds, and a Stripe that is down or in trouble."""

import asyncio
import time

import pytest
from market import kept_of, listed, order, ordered, pay, refund, until_held, until_status

from ticketing_common.testing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEEDS_THE_BUYER = "pm_card_threeDSecure2Required"


@pytest.fixture(autouse=True)
async def _a_faultless_stripe(market):
    yield
    await market.control("DELETE", "/_faults")
    await market.control("DELETE", "/_webhooks")


async def until_intent(market, order_id, *statuses):
    async def reached():
        intent = await market.intent_of(order_id)
        return intent if intent and intent.status in statuses else None

    return await wait_until(reached)


async def at_the_bank(market, buyer, order_id):
    """A payment for which the bank wants the buyer: its id and client secret."""
    answer = await pay(buyer, order_id, NEEDS_THE_BUYER)
    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == {"id", "clientSecret"}
    return answer.json()


async def test_a_buyer_goes_to_the_bank_and_the_webhook_does_the_rest(market):
    seller, buyer = await market.person(), await market.person()
    ticket_id = await listed(seller)
    placed = await ordered(buyer, ticket_id)
    asked = await at_the_bank(market, buyer, placed["id"])
    assert await at_the_bank(market, buyer, placed["id"]) == asked
    assert (await pay(buyer, placed["id"], "tok_visa")).json() == asked
    assert (await market.authenticate(asked["clientSecret"])).status_code == 200
    await until_status(buyer, placed["id"], "complete")
    await until_intent(market, placed["id"], "succeeded")
    again = await pay(buyer, placed["id"])
    assert again.json() == {"errors": [{"message": "Order is already paid"}]}


async def test_without_webhooks_the_browser_repeats_the_call(market):
    await market.control("POST", "/_webhooks", {"held": True})
    seller, buyer = await market.person(), await market.person()
    placed = await ordered(buyer, await listed(seller))
    asked = await at_the_bank(market, buyer, placed["id"])
    await market.authenticate(asked["clientSecret"])
    answer = await pay(buyer, placed["id"], NEEDS_THE_BUYER)
    assert (answer.status_code, answer.json()) == (201, {"id": asked["id"]})
    await until_status(buyer, placed["id"], "complete")
    await until_intent(market, placed["id"], "succeeded")


async def test_a_buyer_who_fails_at_the_bank_frees_the_ticket(market):
    seller, buyer = await market.person(), await market.person()
    ticket_id = await listed(seller)
    placed = await ordered(buyer, ticket_id)
    asked = await at_the_bank(market, buyer, placed["id"])
    await market.authenticate(asked["clientSecret"], success=False)
    assert (await until_status(buyer, placed["id"], "cancelled", seconds=3))["reason"] == "payment-failed"
    await until_held(buyer, ticket_id, None)
    await until_intent(market, placed["id"], "canceled")


async def test_an_order_that_expires_at_the_bank_takes_nothing_and_the_buyer_is_told(market):
    seller, buyer = await market.person(), await market.person()
    ticket_id = await listed(seller)
    placed = await ordered(buyer, ticket_id)
    asked = await at_the_bank(market, buyer, placed["id"])
    assert (await until_status(buyer, placed["id"], "cancelled"))["reason"] == "expired"
    await until_intent(market, placed["id"], "canceled")
    assert (await market.authenticate(asked["clientSecret"])).status_code == 400
    told = await pay(buyer, placed["id"])
    assert told.json() == {"errors": [{"message": "Cannot pay for a cancelled order"}]}
    await until_held(buyer, ticket_id, None)


async def test_events_that_come_late_twice_and_in_disorder_change_nothing(market):
    await market.control("POST", "/_webhooks", {"duplicates": 2, "disorder_seconds": 1.5})
    seller, buyer = await market.person(), await market.person()
    paid, declined = [await ordered(buyer, await listed(seller)) for _ in range(2)]
    asked = await at_the_bank(market, buyer, paid["id"])
    await market.authenticate(asked["clientSecret"])
    assert (await pay(buyer, declined["id"], "tok_chargeDeclined")).status_code == 400
    await until_status(buyer, paid["id"], "complete")
    assert (await refund(seller, paid["id"])).status_code == 200

    async def all_heard():
        return (await market.control("GET", "/_webhooks"))["pending"] == 0

    await wait_until(all_heard, 15)
    payments = market.database("payments")["payments"]

    async def ended():
        found = await payments.find({"order_id": {"$in": [paid["id"], declined["id"]]}}).to_list(2)
        return {p["order_id"]: p["status"] for p in found if p["settle_at"] is None} == {
            paid["id"]: "refunded",
            declined["id"]: "voided",
        }

    await wait_until(ended)


async def test_a_refund_gives_the_money_back_once_and_the_ticket_is_sold_again(market):
    seller, buyer, second = [await market.person() for _ in range(3)]
    ticket_id = await listed(seller)
    placed = await ordered(buyer, ticket_id)
    assert (await pay(buyer, placed["id"])).status_code == 201
    await until_status(buyer, placed["id"], "complete")
    answers = await asyncio.gather(*(refund(seller, placed["id"]) for _ in range(5)))
    assert [(a.status_code, a.json()["status"]) for a in answers] == [(200, "refunded")] * 5
    assert (await buyer.get(f"/api/orders/{placed['id']}")).json()["status"] == "refunded"

    async def given_back():
        shown = (await seller.get(f"/api/orders/{placed['id']}/refund")).json()
        return shown["status"] == "done"

    await wait_until(given_back)
    assert kept_of(await market.intent_of(placed["id"])) == 0
    await until_held(buyer, ticket_id, None)
    again = await ordered(second, ticket_id)
    assert (await pay(second, again["id"])).status_code == 201
    await until_status(second, again["id"], "complete")
    await until_held(second, ticket_id, again["id"])


async def test_a_refund_that_is_refused_is_shown_to_the_seller(market):
    seller, buyer = await market.person(), await market.person()
    placed = await ordered(buyer, await listed(seller))
    assert (await pay(buyer, placed["id"], "pm_card_createDispute")).status_code == 201
    await until_status(buyer, placed["id"], "complete")
    await until_intent(market, placed["id"], "succeeded")
    assert (await refund(seller, placed["id"])).status_code == 200

    async def refused():
        shown = (await seller.get(f"/api/orders/{placed['id']}/refund")).json()
        return shown if shown["status"] == "failed" else None

    assert (await wait_until(refused))["code"] == "charge_disputed"
    market.refused_refunds.add(placed["id"])


async def test_without_stripe_the_rest_of_the_market_is_as_fast_as_ever(market):
    seller, buyer = await market.person(), await market.person()
    placed = await ordered(buyer, await listed(seller))
    await market.control("POST", "/_faults", {"kind": "delay", "seconds": 30})
    begun = time.monotonic()
    paying = [asyncio.create_task(pay(buyer, placed["id"])) for _ in range(20)]
    await asyncio.sleep(0.2)
    for _ in range(20):
        asked = time.monotonic()
        assert (await buyer.get("/api/payments/config")).status_code == 200
        assert (await buyer.get(f"/api/orders/{placed['id']}")).status_code == 200
        assert time.monotonic() - asked < 1
    for answer in await asyncio.gather(*paying):
        assert answer.status_code in (503, 400), answer.text
        assert answer.status_code == 400 or int(answer.headers["retry-after"]) >= 1
    assert time.monotonic() - begun < 12


async def test_an_order_stays_payable_while_stripe_is_down(market):
    seller, buyer = await market.person(), await market.person()
    placed = await ordered(buyer, await listed(seller))
    await market.stack.kill("stripe")
    answering = asyncio.create_task(pay(buyer, placed["id"]))
    await asyncio.sleep(0.3)
    await market.stack.start("stripe")
    assert (await answering).status_code == 201
    await until_status(buyer, placed["id"], "complete")
    assert (await order(seller, placed["ticket"]["id"])).status_code == 400
