"""Processes are killed during a sale and start again; all services then agree on the outcome."""

import asyncio
from dataclasses import dataclass

import httpx
import pytest
from api_calls import (
    list_ticket,
    place_order,
    post_order,
    post_payment,
    retry_while_unavailable,
    wait_for_order_status,
    wait_for_reservation,
)
from nightly_cases import nightly
from stack_under_test import StackUnderTest

from ticketing_common.messaging.bus import open_bus
from ticketing_common.testing import published, wait_until
from ticketing_common.values.events import OrderCreated

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_event_of_an_order_is_published_after_orders_is_killed_before_publishing_it(stack):
    """NATS is down, so the event stays in the outbox until orders is killed."""
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    ticket_id = await list_ticket(seller)
    orders = stack.database("orders")
    await wait_until(lambda: orders["tickets"].find_one({"_id": ticket_id}))
    await stack.processes.kill("nats")
    order = (await retry_while_unavailable(lambda: post_order(buyer, ticket_id))).json()
    await stack.processes.kill("orders")
    document = await orders["orders"].find_one({"_id": order["id"]})
    assert [entry["subject"] for entry in document["outbox"]] == ["order.created"]
    await stack.processes.start("nats")
    async with open_bus(stack.env["NATS_URL"], "test") as bus:

        async def is_published() -> bool:
            return order["id"] in [event.id for event in await published(bus, OrderCreated)]

        assert not await is_published()
        await stack.processes.start("orders")
        await wait_until(is_published)
    assert (await wait_for_order_status(buyer, order["id"], "cancelled"))["reason"] == "expired"
    await wait_for_reservation(buyer, ticket_id, None)


@dataclass(frozen=True)
class Sale:
    """Two orders: the buyer pays for the first, and the second expires."""

    buyer: httpx.AsyncClient
    ticket_id: str
    order_id: str
    expiring_ticket_id: str
    expiring_order_id: str

    async def check_outcome(self) -> None:
        order = await wait_for_order_status(self.buyer, self.order_id, "complete", "cancelled", seconds=30)
        holder = self.order_id if order["status"] == "complete" else None
        await wait_for_reservation(self.buyer, self.ticket_id, holder)
        expired = await wait_for_order_status(self.buyer, self.expiring_order_id, "cancelled", seconds=30)
        assert expired["reason"] == "expired"
        await wait_for_reservation(self.buyer, self.expiring_ticket_id, None)


async def start_sale(stack: StackUnderTest) -> Sale:
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    first, second = await list_ticket(seller), await list_ticket(seller)
    orders = [await place_order(buyer, ticket_id) for ticket_id in (first, second)]
    return Sale(buyer, first, orders[0]["id"], second, orders[1]["id"])


async def pay_during_restart(stack: StackUnderTest, sale: Sale, name: str) -> httpx.Response:
    """Kills the process and pays while it starts again."""
    await stack.processes.kill(name)
    restart = asyncio.create_task(stack.processes.start(name))
    response = await retry_while_unavailable(lambda: post_payment(sale.buyer, sale.order_id))
    await restart
    return response


@pytest.mark.parametrize("store", ["mongod", *nightly("nats", "redis")])
async def test_sale_and_expiry_survive_a_killed_store(stack, store):
    sale = await start_sale(stack)
    response = await pay_during_restart(stack, sale, store)
    assert response.status_code == 201 or response.json()["errors"][0]["message"] in (
        "Order is already paid",  # the first response was lost, the payment was not
        "Cannot pay for a cancelled order",  # the store was down for longer than the payment window
    ), response.text
    await sale.check_outcome()


@pytest.mark.parametrize("service", ["orders", *nightly("tickets", "payments", "expiration", "worker")])
async def test_sale_and_expiry_survive_a_killed_service(stack, service):
    sale = await start_sale(stack)
    response = await pay_during_restart(stack, sale, service)
    assert response.status_code in (201, 400), response.text
    await sale.check_outcome()


async def test_only_the_routes_of_a_stopped_service_respond_503(stack):
    buyer = await stack.sign_up()
    await stack.processes.kill("orders")
    try:
        response = await buyer.get("/api/orders")
        assert response.status_code == 503
        assert response.json()["errors"][0]["message"]
        assert response.headers["retry-after"]
        assert (await buyer.get("/api/tickets")).status_code == 200
    finally:
        await stack.processes.start("orders")
