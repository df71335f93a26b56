"""Measures what follows a response: the order of a new ticket, the lock on it, and the expiry."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime

from ticketing_bench.bench_stack import BenchStack
from ticketing_bench.dataset import Dataset
from ticketing_bench.load import request
from ticketing_bench.measure import percentile
from ticketing_common.messaging.stream_reader import Position, read_messages
from ticketing_common.values.events import OrderCancelled

_PAUSE = 0.05  # seconds between two requests, so that the services are idle
_TIMEOUT = 20.0
_EXPIRATION_WINDOW = 3  # seconds to pay an order


def _summarize(seconds: list[float]) -> dict[str, float]:
    p50, p99 = percentile(seconds, 50), percentile(seconds, 99)
    figures = {"p50_ms": p50, "p99_ms": p99, "max_ms": max(seconds), "min_ms": min(seconds)}
    return {"count": len(seconds)} | {name: value * 1e3 for name, value in figures.items()}


async def measure_listing_to_order(stack: BenchStack, count: int) -> dict[str, float]:
    """From the 201 of a listing to the 201 of an order of that ticket, which is sent at once."""
    session = stack.new_session()
    tickets, orders = await stack.connect("tickets"), await stack.connect("orders")
    seconds = []
    for _ in range(count):
        ticket = await tickets.create("/api/tickets", session, title="Just listed", price=20)
        listed_at = time.perf_counter()
        await orders.create("/api/orders", session, ticketId=ticket["id"])
        seconds.append(time.perf_counter() - listed_at)
        await asyncio.sleep(_PAUSE)
    tickets.close()
    orders.close()
    return _summarize(seconds)


async def measure_order_to_lock(dataset: Dataset, count: int) -> dict[str, float]:
    """From the 201 of an order to the lock on its ticket, as the tickets service's event stream shows it."""
    session = dataset.stack.new_session()
    ids = await dataset.add_for_sale(count)
    locked_at: dict[str, asyncio.Future[float]] = {each: asyncio.Future() for each in ids}
    seconds = []
    orders = await dataset.stack.connect("orders")
    async with _watching_locks(dataset.stack, locked_at):
        for ticket_id in ids:
            await orders.create("/api/orders", session, ticketId=ticket_id)
            ordered_at = time.perf_counter()
            seconds.append(await asyncio.wait_for(locked_at[ticket_id], _TIMEOUT) - ordered_at)
            await asyncio.sleep(_PAUSE)
    orders.close()
    return _summarize(seconds)


@contextlib.asynccontextmanager
async def _watching_locks(
    stack: BenchStack, locked_at: dict[str, asyncio.Future[float]]
) -> AsyncIterator[None]:
    """Set the future of each ticket when the event stream shows that it is locked."""
    connection = await stack.connect("tickets")
    connection.send(request("GET", "/api/tickets/events"))
    await connection.reader.readuntil(b"\r\n\r\n")

    async def watch() -> None:
        async for line in connection.reader:
            received_at = time.perf_counter()
            if line.startswith(b"data: "):
                ticket = json.loads(line[6:])
                if ticket["orderId"] and ticket["id"] in locked_at and not locked_at[ticket["id"]].done():
                    locked_at[ticket["id"]].set_result(received_at)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        connection.close()


async def measure_expiry(dataset: Dataset, count: int) -> dict[str, float]:
    """From `expiresAt` of an unpaid order to the time of its `order.cancelled` in the stream."""
    stack, session = dataset.stack, dataset.stack.new_session()
    await stack.stack.stop("orders")
    await stack.stack.start("orders", {"EXPIRATION_WINDOW_SECONDS": str(_EXPIRATION_WINDOW)})
    orders = await stack.connect("orders")
    info = await stack.bus.stream_info()
    start = Position.of(info, info.state.last_seq)
    expires_at: dict[str, datetime] = {}
    for ticket_id in await dataset.add_for_sale(count):
        order = await orders.create("/api/orders", session, ticketId=ticket_id)
        expires_at[order["id"]] = datetime.fromisoformat(order["expiresAt"])
        await asyncio.sleep(_PAUSE / 2)
    orders.close()
    cancelled_at: dict[str, datetime] = {}
    async with asyncio.timeout(_EXPIRATION_WINDOW + _TIMEOUT):
        while len(cancelled_at) < count:
            await asyncio.sleep(0.2)
            events = await read_messages(stack.bus, [OrderCancelled.subject], start, count)
            cancelled_at = {OrderCancelled.model_validate_json(each.data).id: each.at for each in events}
    return _summarize([(cancelled_at[each] - at).total_seconds() for each, at in expires_at.items()])
