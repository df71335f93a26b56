"""Listing, ordering, paying and expiring through the ingress, alone and by many buyers at once."""

import asyncio
from datetime import datetime

import pytest
import pytest_asyncio
from api_calls import (
    list_ticket,
    place_order,
    post_order,
    post_payment,
    wait_for_order_status,
    wait_for_reservation,
)
from nightly_cases import nightly

from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def fifty_buyers(stack):
    return await asyncio.gather(*(stack.sign_up() for _ in range(50)))


async def test_ticket_is_listed_ordered_paid_and_stays_sold(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    ticket_id = await list_ticket(seller)
    order = await place_order(buyer, ticket_id)
    await wait_for_reservation(buyer, ticket_id, order["id"])
    rejected = await post_order(seller, ticket_id)
    assert rejected.json()["errors"] == [{"message": "Ticket is already reserved"}]
    response = await post_payment(buyer, order["id"])
    assert response.status_code == 201, response.text
    await wait_for_order_status(buyer, order["id"], "complete")

    async def is_captured():
        intent = await stack.find_intent(order["id"])
        return intent.status == "succeeded" and intent.amount_received == 1999

    await wait_until(is_captured)
    await asyncio.sleep(4.5)  # longer than the payment window
    assert (await buyer.get(f"/api/orders/{order['id']}")).json()["status"] == "complete"
    assert (await buyer.get(f"/api/tickets/{ticket_id}")).json()["orderId"] == order["id"]


async def test_declined_card_releases_the_ticket_at_once(stack):
    seller, buyer, other = [await stack.sign_up() for _ in range(3)]
    ticket_id = await list_ticket(seller)
    order = await place_order(buyer, ticket_id)
    response = await post_payment(buyer, order["id"], "tok_chargeDeclined")
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "card_declined")
    cancelled = await wait_for_order_status(buyer, order["id"], "cancelled", seconds=2)
    assert cancelled["reason"] == "payment-failed"
    await wait_for_reservation(other, ticket_id, None, seconds=2)
    assert (await post_order(other, ticket_id)).status_code == 201


async def test_unpaid_order_expires_on_time_and_never_early(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    ticket_id = await list_ticket(seller)
    order = await place_order(buyer, ticket_id)
    expired = await wait_for_order_status(buyer, order["id"], "cancelled")
    seconds_late = (now() - datetime.fromisoformat(order["expiresAt"])).total_seconds()
    assert expired["reason"] == "expired"
    assert 0 <= seconds_late < 1
    await wait_for_reservation(buyer, ticket_id, None, seconds=1)


async def order_together(buyers, ticket_id):
    """All buyers order the ticket at once. Returns the sorted statuses of the responses."""
    responses = await asyncio.gather(*(post_order(buyer, ticket_id) for buyer in buyers))
    return sorted(response.status_code for response in responses)


@pytest.mark.parametrize("rounds", [5, *nightly(20)])
async def test_one_of_fifty_buyers_who_order_at_once_gets_the_ticket(stack, fifty_buyers, rounds):
    seller = await stack.sign_up()
    for _ in range(rounds):
        statuses = await order_together(fifty_buyers, await list_ticket(seller))
        assert statuses == [201] + [400] * 49


async def test_the_same_fifty_buyers_oversell_without_the_unique_index(stack, fifty_buyers):
    """The negative control of the test above."""
    seller = await stack.sign_up()
    orders = stack.database("orders")["orders"]
    keys = (await orders.index_information())["claim"]["key"]
    await orders.drop_index("claim")
    sales = 0
    try:
        for _ in range(20):
            ticket_id = await list_ticket(seller)
            statuses = await order_together(fifty_buyers, ticket_id)
            sales = max(sales, statuses.count(201))
            # Unique again, so that the index can be created.
            oversold = await orders.find({"ticket.id": ticket_id}).to_list(50)
            for n, order in enumerate(oversold, start=1):
                await orders.update_one({"_id": order["_id"]}, {"$set": {"ticket.n": n}})
            if sales > 1:
                break
    finally:
        await orders.create_index(keys, unique=True, name="claim")
    assert sales > 1


@pytest.mark.parametrize("rounds", [15, *nightly(50)])
async def test_concurrent_payment_and_cancellation_have_one_outcome(stack, rounds):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    outcomes = set()
    for _ in range(rounds):
        order_id = (await place_order(buyer, await list_ticket(seller)))["id"]
        payment, cancellation = await asyncio.gather(
            post_payment(buyer, order_id), buyer.delete(f"/api/orders/{order_id}")
        )
        assert payment.status_code in (201, 400)
        status = (await wait_for_order_status(buyer, order_id, "complete", "cancelled"))["status"]
        assert (status == "cancelled") == (cancellation.status_code == 204)
        outcomes.add(status)

        async def is_settled(order_id=order_id, status=status):
            intent = await stack.find_intent(order_id)
            if status == "complete":
                return intent.status == "succeeded" and intent.amount_received == 1999
            return intent is None or (
                intent.amount_received == 0 and intent.status in ("canceled", "requires_payment_method")
            )

        await wait_until(is_settled)
    assert outcomes
