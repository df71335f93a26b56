"""Parts die, freeze and come back in the middle of a sale, and the market ends in agreement."""

import asyncio

import pytest
from market import listed, order, ordered, pay, until_accepted, until_held, until_status

from ticketing_common.messaging.bus import open_bus
from ticketing_common.testing import published, wait_until
from ticketing_common.values.events import OrderCreated

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_order_written_but_not_published_is_published_after_the_crash(market):
    """NATS is dead, so the order's event cannot leave its outbox before the orders service is killed."""
    seller, buyer = await market.person(), await market.person()
    ticket_id = await listed(seller)
    orders = market.database("orders")
    await wait_until(lambda: orders["tickets"].find_one({"_id": ticket_id}))
    await market.stack.kill("nats")
    placed = (await until_accepted(lambda: order(buyer, ticket_id))).json()
    await market.stack.kill("orders")
    document = await orders["orders"].find_one({"_id": placed["id"]})
    assert [entry["subject"] for entry in document["outbox"]] == ["order.created"]
    await market.stack.start("nats")
    async with open_bus(market.stack.env["NATS_URL"], "test") as bus:

        async def told() -> bool:
            return placed["id"] in [event.id for event in await published(bus, OrderCreated)]

        assert not await told()
        await market.stack.start("orders")
        await wait_until(told)
    assert (await until_status(buyer, placed["id"], "cancelled"))["reason"] == "expired"
    await until_held(buyer, ticket_id, None)


@pytest.mark.parametrize("store", ["nats", "redis", "mongod"])
async def test_a_purchase_and_an_expiry_outlive_a_store_that_is_killed(market, store):
    seller, buyer = await market.person(), await market.person()
    to_pay, to_expire = await listed(seller), await listed(seller)
    paid, expired = await ordered(buyer, to_pay), await ordered(buyer, to_expire)
    await market.stack.kill(store)
    back = asyncio.create_task(market.stack.start(store))
    answer = await until_accepted(lambda: pay(buyer, paid["id"]))
    await back
    assert answer.status_code == 201 or answer.json()["errors"][0]["message"] in (
        "Order is already paid",  # the answer before was lost, the payment was not
        "Cannot pay for a cancelled order",  # the store took longer than the window
    ), answer.text
    decided = await until_status(buyer, paid["id"], "complete", "cancelled", seconds=30)
    await until_held(buyer, to_pay, paid["id"] if decided["status"] == "complete" else None)
    assert (await until_status(buyer, expired["id"], "cancelled", seconds=30))["reason"] == "expired"
    await until_held(buyer, to_expire, None)


@pytest.mark.parametrize("part", ["tickets", "orders", "payments", "expiration", "worker"])
async def test_a_sale_and_an_expiry_outlive_any_service_that_is_killed(market, part):
    seller, buyer = await market.person(), await market.person()
    to_pay, to_expire = await listed(seller), await listed(seller)
    paid, expired = await ordered(buyer, to_pay), await ordered(buyer, to_expire)
    await market.stack.kill(part)
    back = asyncio.create_task(market.stack.start(part))
    answer = await until_accepted(lambda: pay(buyer, paid["id"]))
    await back
    assert answer.status_code in (201, 400), answer.text
    decided = await until_status(buyer, paid["id"], "complete", "cancelled", seconds=30)
    await until_held(buyer, to_pay, paid["id"] if decided["status"] == "complete" else None)
    assert (await until_status(buyer, expired["id"], "cancelled", seconds=30))["reason"] == "expired"
    await until_held(buyer, to_expire, None)


async def test_a_service_that_is_down_is_503_for_its_part_alone(market):
    buyer = await market.person()
    await market.stack.kill("orders")
    try:
        answer = await buyer.get("/api/orders")
        assert answer.status_code == 503
        assert answer.json()["errors"][0]["message"]
        assert answer.headers["retry-after"]
        assert (await buyer.get("/api/tickets")).status_code == 200
    finally:
        await market.stack.start("orders")
