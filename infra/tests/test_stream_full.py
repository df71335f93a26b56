"""A full stream rejects events. Users can still list, order and read, and no event is lost."""

from collections.abc import AsyncIterator
from functools import partial

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
from stack_under_test import StackUnderTest, running_stack_under_test

from ticketing_common.messaging.bus import STREAM, open_bus
from ticketing_common.testing import wait_until

# `make test` tests the relay with a full stream in common/tests.
pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.nightly]

MAX_BYTES = 30_000
"""About seventy events."""
CONSUMERS = ["tickets", "orders", "payments", "expiration"]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def stack(tmp_path_factory) -> AsyncIterator[StackUnderTest]:
    """A stack with a small stream."""
    async with running_stack_under_test(
        tmp_path_factory.mktemp("stack"),
        payment_window=120,
        environment={"NATS_MAX_BYTES": str(MAX_BYTES)},
    ) as stack:
        yield stack


async def count_unpublished(stack: StackUnderTest, service: str) -> int:
    """The documents of a service with an event in their outbox."""
    return int(await stack.database(service)[service].count_documents({"outbox.0": {"$exists": True}}))


async def purge_consumed_events(stack: StackUnderTest) -> None:
    """In production, the stream deletes events by age."""
    async with open_bus(stack.env["NATS_URL"], "test", max_bytes=MAX_BYTES) as bus:

        async def all_are_consumed() -> bool:
            return not any([await bus.pending_count(service) for service in CONSUMERS])

        await wait_until(all_are_consumed, 30)
        await bus.js.purge_stream(str(STREAM.name))


async def test_full_stream_blocks_no_user_and_loses_no_event(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    copies = stack.database("orders")["tickets"]
    ticket_id, other_id = [await list_ticket(seller) for _ in range(2)]
    for each in (ticket_id, other_id):
        await wait_until(partial(copies.find_one, {"_id": each}), 20)

    async def is_full() -> bool:
        await list_ticket(seller)
        return await count_unpublished(stack, "tickets") >= 5

    await wait_until(is_full, 60)

    # While the stream is full, requests succeed and events stay in the outbox.
    order_id = (await place_order(buyer, ticket_id))["id"]
    assert (await post_order(await stack.sign_up(), ticket_id)).status_code == 400
    assert (await buyer.get(f"/api/orders/{order_id}")).json()["status"] == "created"
    unpublished_id = await list_ticket(seller)
    assert (await buyer.get(f"/api/tickets/{unpublished_id}")).status_code == 200
    assert (await post_order(buyer, unpublished_id)).status_code == 503, "it exists, but orders has no copy"
    cancelled_id = (await place_order(buyer, other_id))["id"]
    assert (await buyer.delete(f"/api/orders/{cancelled_id}")).status_code == 204
    assert (await buyer.get("/api/orders")).status_code == 200
    assert await count_unpublished(stack, "orders") == 2

    # Once there is room, all events are published, and all services agree.
    await purge_consumed_events(stack)
    await wait_for_reservation(buyer, ticket_id, order_id, 30)
    await wait_for_reservation(buyer, other_id, None, 30)
    await wait_until(lambda: copies.find_one({"_id": unpublished_id}), 30)
    payments = stack.database("payments")["payments"]
    await wait_until(lambda: payments.find_one({"order_id": order_id}), 30)
    assert (await post_payment(buyer, order_id)).status_code == 201
    await wait_for_order_status(buyer, order_id, "complete", seconds=30)

    async def all_are_published() -> bool:
        services = ("tickets", "orders", "payments")
        return not any([await count_unpublished(stack, service) for service in services])

    await wait_until(all_are_published, 30)
    for service in CONSUMERS:
        assert await stack.database(service)["dead_letters"].count_documents({}) == 0
    listed = await stack.database("tickets")["tickets"].count_documents({})
    assert await copies.count_documents({}) == listed
