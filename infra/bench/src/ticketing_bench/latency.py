"""How long what follows an answer takes: an order of a new ticket, its lock, a purchase, and an expiry."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from ticketing_bench.documents import Templates, add_for_sale
from ticketing_bench.load import Connection, request
from ticketing_bench.market import Market
from ticketing_bench.measure import percentile
from ticketing_common.events import OrderCancelled
from ticketing_common.tail import Position, read

_PACE = 0.05
"""Seconds between two orders when the market is to be idle."""
_LOOK = 0.005
_PATIENCE = 20.0
WINDOW = 3
"""Seconds to pay, where it is measured how punctually orders expire."""


@dataclass(frozen=True)
class Times:
    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    min_ms: float


@dataclass(frozen=True)
class Purchases:
    """Order, pay, and look until the order is complete."""

    per_second: float
    buyers: int
    times: Times


def times(seconds: list[float]) -> Times:
    cuts = [percentile(seconds, 50), percentile(seconds, 99), max(seconds), min(seconds)]
    return Times(len(seconds), *(cut * 1e3 for cut in cuts))


async def event_latency(market: Market, templates: Templates, count: int) -> Times:
    """From the 201 of an order to the ticket's lock, as the tickets service tells who looks at it."""
    _, session = market.session()
    ids = await add_for_sale(market, templates, count)
    locked: dict[str, asyncio.Future[float]] = {each: asyncio.Future() for each in ids}
    seconds = []
    orders = await market.connect("orders")
    async with _listening(market, locked):
        for ticket_id in ids:
            status, _ = await orders.ask(_order(ticket_id, session))
            answered = time.perf_counter()
            assert status == 201
            seconds.append(await asyncio.wait_for(locked[ticket_id], _PATIENCE) - answered)
            await asyncio.sleep(_PACE)
    orders.close()
    return times(seconds)


async def listing_latency(market: Market, count: int) -> Times:
    """From the 201 of a listing to the 201 of an order of that ticket, sent at once."""
    _, session = market.session()
    tickets, orders = await market.connect("tickets"), await market.connect("orders")
    body = json.dumps({"title": "Just listed", "price": 20}).encode()
    seconds = []
    for _ in range(count):
        status, said = await tickets.ask(request("POST", "/api/tickets", session=session, body=body))
        listed = time.perf_counter()
        assert status == 201, said
        status, said = await orders.ask(_order(json.loads(said)["id"], session))
        seconds.append(time.perf_counter() - listed)
        assert status == 201, said
        await asyncio.sleep(_PACE)
    tickets.close()
    orders.close()
    return times(seconds)


@contextlib.asynccontextmanager
async def _listening(market: Market, locked: dict[str, asyncio.Future[float]]) -> AsyncIterator[None]:
    """Notes the time at which each ticket is heard to be locked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", market.ports["tickets"])
    writer.write(request("GET", "/api/tickets/events"))
    await reader.readuntil(b"\r\n\r\n")

    async def hear() -> None:
        async for line in reader:
            heard = time.perf_counter()
            if line.startswith(b"data: "):
                ticket = json.loads(line[6:])
                if ticket["orderId"] and ticket["id"] in locked and not locked[ticket["id"]].done():
                    locked[ticket["id"]].set_result(heard)

    hearing = asyncio.create_task(hear())
    try:
        yield
    finally:
        hearing.cancel()
        writer.close()


async def purchases(market: Market, templates: Templates, buyers: int, seconds: float) -> Purchases:
    """So many buyers at once, each of whom buys one ticket after the other."""
    ids = iter(await add_for_sale(market, templates, int(200 * seconds)))
    took: list[float] = []
    begun = time.perf_counter()

    async def buyer() -> None:
        _, session = market.session()
        orders, payments = await market.connect("orders"), await market.connect("payments")
        for ticket_id in ids:
            at = time.perf_counter()
            if at > begun + seconds:
                break
            await _buy(orders, payments, ticket_id, session)
            took.append(time.perf_counter() - at)
        orders.close()
        payments.close()

    await asyncio.gather(*(buyer() for _ in range(buyers)))
    return Purchases(len(took) / (time.perf_counter() - begun), buyers, times(took))


async def _buy(orders: Connection, payments: Connection, ticket_id: str, session: str) -> None:
    status, said = await orders.ask(_order(ticket_id, session))
    assert status == 201, said
    order_id = json.loads(said)["id"]
    body = json.dumps({"orderId": order_id, "token": "tok_visa"}).encode()
    status, said = await payments.ask(request("POST", "/api/payments", session=session, body=body))
    assert status == 201, said
    look = request("GET", f"/api/orders/{order_id}", session=session)
    while json.loads((await orders.ask(look))[1])["status"] != "complete":  # noqa: ASYNC110 - told to nobody
        await asyncio.sleep(_LOOK)


async def expiry(market: Market, templates: Templates, count: int) -> Times:
    """How late unpaid orders are cancelled, by when the stream has the event.

    The orders service is left with WINDOW seconds to pay.
    """
    await market.stack.stop("orders")
    await market.stack.start("orders", {"EXPIRATION_WINDOW_SECONDS": str(WINDOW)})
    _, session = market.session()
    orders = await market.connect("orders")
    stream = await market.bus.stream()
    before = Position.of(stream, stream.state.last_seq)
    expires: dict[str, datetime] = {}
    for ticket_id in await add_for_sale(market, templates, count):
        _, said = await orders.ask(_order(ticket_id, session))
        order = json.loads(said)
        expires[order["id"]] = datetime.fromisoformat(order["expiresAt"])
        await asyncio.sleep(_PACE / 2)
    orders.close()
    cancelled: dict[str, datetime] = {}
    async with asyncio.timeout(WINDOW + _PATIENCE):
        while len(cancelled) < count:
            await asyncio.sleep(0.2)
            found = await read(market.bus, [OrderCancelled.subject], before, count)
            cancelled = {OrderCancelled.model_validate_json(each.data).id: each.at for each in found}
    return times([(cancelled[each] - at).total_seconds() for each, at in expires.items()])


def _order(ticket_id: str, session: str) -> bytes:
    return request("POST", "/api/orders", session=session, body=json.dumps({"ticketId": ticket_id}).encode())
