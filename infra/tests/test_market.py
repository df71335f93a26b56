"""The main job of the market, end to end through the ingress, and what must never happen."""

import asyncio
from datetime import datetime

import pytest
from market import listed, order, ordered, pay, together, until_held, until_status

from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_ticket_is_listed_ordered_paid_and_sold(market):
    seller, buyer = await market.person(), await market.person()
    ticket_id = await listed(seller)
    placed = await ordered(buyer, ticket_id)
    await until_held(buyer, ticket_id, placed["id"])
    assert (await order(seller, ticket_id)).json()["errors"] == [{"message": "Ticket is already reserved"}]
    answer = await pay(buyer, placed["id"])
    assert answer.status_code == 201, answer.text
    await until_status(buyer, placed["id"], "complete")

    async def captured():
        intent = await market.intent_of(placed["id"])
        return intent.status == "succeeded" and intent.amount_received == 1999

    await wait_until(captured)
    await asyncio.sleep(4.5)  # past its expiry: a sold ticket stays sold
    assert (await buyer.get(f"/api/orders/{placed['id']}")).json()["status"] == "complete"
    assert (await buyer.get(f"/api/tickets/{ticket_id}")).json()["orderId"] == placed["id"]


async def test_a_declined_card_frees_the_ticket_at_once(market):
    seller, buyer, other = [await market.person() for _ in range(3)]
    ticket_id = await listed(seller)
    placed = await ordered(buyer, ticket_id)
    answer = await pay(buyer, placed["id"], "tok_chargeDeclined")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "card_declined")
    cancelled = await until_status(buyer, placed["id"], "cancelled", seconds=2)
    assert cancelled["reason"] == "payment-failed"
    await until_held(other, ticket_id, None, seconds=2)
    assert (await order(other, ticket_id)).status_code == 201


async def test_an_unpaid_order_expires_on_time_and_never_early(market):
    seller, buyer = await market.person(), await market.person()
    ticket_id = await listed(seller)
    placed = await ordered(buyer, ticket_id)
    expired = await until_status(buyer, placed["id"], "cancelled")
    late = (now() - datetime.fromisoformat(placed["expiresAt"])).total_seconds()
    assert expired["reason"] == "expired"
    assert 0 <= late < 1
    await until_held(buyer, ticket_id, None, seconds=1)


async def test_of_fifty_buyers_at_once_one_gets_the_ticket_twenty_times_over(market):
    seller = await market.person()
    crowd = [await market.person() for _ in range(50)]
    for _ in range(20):
        ticket_id = await listed(seller)
        answers = await together(*(order(buyer, ticket_id) for buyer in crowd))
        assert sorted(answer.status_code for answer in answers) == [201] + [400] * 49


async def test_without_the_guard_the_same_crowd_oversells(market):
    """The control: it shows that the test above can fail."""
    seller = await market.person()
    crowd = [await market.person() for _ in range(50)]
    orders = market.database("orders")["orders"]
    keys = (await orders.index_information())["claim"]["key"]
    await orders.drop_index("claim")
    most = 0
    try:
        for _ in range(20):
            ticket_id = await listed(seller)
            answers = await together(*(order(buyer, ticket_id) for buyer in crowd))
            most = max(most, sum(answer.status_code == 201 for answer in answers))
            oversold = await orders.find({"ticket.id": ticket_id}).to_list(50)
            for n, each in enumerate(oversold, start=1):
                await orders.update_one({"_id": each["_id"]}, {"$set": {"ticket.n": n}})
            if most > 1:
                break
    finally:
        await orders.create_index(keys, unique=True, name="claim")
    assert most > 1


async def test_a_payment_and_a_cancellation_at_once_agree_fifty_times(market):
    seller, buyer = await market.person(), await market.person()
    outcomes = set()
    for _ in range(50):
        placed = await ordered(buyer, await listed(seller))
        url = f"/api/orders/{placed['id']}"
        paid, cancelled = await together(pay(buyer, placed["id"]), buyer.delete(url))
        assert paid.status_code in (201, 400)
        decided = await until_status(buyer, placed["id"], "complete", "cancelled")
        assert (decided["status"] == "cancelled") == (cancelled.status_code == 204)
        outcomes.add(decided["status"])

        async def settled(order_id=placed["id"], complete=decided["status"] == "complete"):
            intent = await market.intent_of(order_id)
            if complete:
                return intent.status == "succeeded" and intent.amount_received == 1999
            return intent is None or (
                intent.amount_received == 0 and intent.status in ("canceled", "requires_payment_method")
            )

        await wait_until(settled)
    assert outcomes
