"""A stream that takes no events any more: people go on listing, ordering and reading, and nothing is lost."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from market import Market, listed, order, ordered, pay, until_held, until_status

from ticketing_common.messaging.bus import STREAM, open_bus
from ticketing_common.testing import wait_until
from ticketing_local.plan import Plan, plan_parts
from ticketing_local.settings import Settings
from ticketing_local.testing import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 30_000
"""Bytes; some seventy listings."""
FOLLOWERS = ["tickets", "orders", "payments", "expiration"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small_market(tmp_path_factory) -> AsyncIterator[Market]:
    """A market whose stream has little room."""

    def plan(settings: Settings, secrets: dict[str, str]) -> Plan:
        planned = plan_parts(settings, secrets)
        parts = [
            replace(part, environment={**part.environment, "NATS_MAX_BYTES": str(LIMIT)})
            for part in planned.parts
        ]
        return replace(planned, parts=parts)

    async with running_stack(
        tmp_path_factory.mktemp("market"), expiration_window_seconds=120, plan=plan
    ) as stack:
        market = Market(stack)
        yield market
        await market.check_money()
        await market.check_books()
        await market.close()


async def waiting(market: Market, service: str) -> int:
    """The documents of a service with an event in their outbox."""
    return await market.database(service)[service].count_documents({"outbox.0": {"$exists": True}})


async def make_room(market: Market) -> None:
    """Remove what every service has followed, as its age does in production."""
    async with open_bus(market.stack.env["NATS_URL"], "test", max_bytes=LIMIT) as bus:

        async def all_followed() -> bool:
            return not any([await bus.pending_count(service) for service in FOLLOWERS])

        await wait_until(all_followed, 30)
        await bus.js.purge_stream(str(STREAM.name))


async def test_a_full_stream_stops_nobody_and_loses_nothing(small_market):
    market = small_market
    seller, buyer = await market.person(), await market.person()
    ticket_id, other_id = [await listed(seller) for _ in range(2)]
    for each in (ticket_id, other_id):
        await wait_until(lambda each=each: market.database("orders")["tickets"].find_one({"_id": each}), 20)

    async def is_full() -> bool:
        await listed(seller)  # accepted each time
        return await waiting(market, "tickets") >= 5

    await wait_until(is_full, 60)

    # Full: people go on, and each event waits.
    order_id = (await ordered(buyer, ticket_id))["id"]
    assert (await order(await market.person(), ticket_id)).status_code == 400
    assert (await buyer.get(f"/api/orders/{order_id}")).json()["status"] == "created"
    unheard_of = await listed(seller)
    assert (await buyer.get(f"/api/tickets/{unheard_of}")).status_code == 200
    assert (await order(buyer, unheard_of)).status_code == 503, "it exists, and its event waits"
    cancelled = (await ordered(buyer, other_id))["id"]
    assert (await buyer.delete(f"/api/orders/{cancelled}")).status_code == 204
    assert (await buyer.get("/api/orders")).status_code == 200
    assert await waiting(market, "orders") == 2

    # Room: everything that waited is published, and every service agrees.
    await make_room(market)
    await until_held(buyer, ticket_id, order_id, 30)
    await until_held(buyer, other_id, None, 30)
    await wait_until(lambda: market.database("orders")["tickets"].find_one({"_id": unheard_of}), 30)
    await wait_until(lambda: market.database("payments")["payments"].find_one({"order_id": order_id}), 30)
    assert (await pay(buyer, order_id)).status_code == 201
    await until_status(buyer, order_id, "complete", seconds=30)

    async def nothing_waits() -> bool:
        return not any([await waiting(market, service) for service in ("tickets", "orders", "payments")])

    await wait_until(nothing_waits, 30)
    for service in FOLLOWERS:
        assert await market.database(service)["dead_letters"].count_documents({}) == 0
    on_sale = await market.database("tickets")["tickets"].count_documents({})
    assert await market.database("orders")["tickets"].count_documents({}) == on_sale
