"""Tickets and orders by the million: copies of one ticket and one order that the services themselves wrote.

Half the tickets are for sale. The other half was ordered twice: the first order was cancelled, the second is
complete. So there are as many orders as tickets, and each collection has its documents in every state.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from bson import ObjectId
from pymongo import MongoClient, WriteConcern

from ticketing_bench.market import Market

BATCH = 2_000
_SELLERS = 500
_WORDS = ["stalls", "circle", "balcony", "arena", "standing", "gallery", "box", "terrace"]

Document = dict[str, Any]
Progress = Callable[[int], None]
"""Told how many are written, or just being written."""


@dataclass(frozen=True)
class Templates:
    """Documents as the services write them."""

    ticket: Document
    """For sale, in the tickets service."""
    copy: Document
    """The same in the orders service."""
    order: Document


async def learn(market: Market) -> Templates:
    """Have the services write a ticket and an order, and take their documents."""
    _, session = market.session()
    ticket = await market.post("tickets", "/api/tickets", {"title": "One of many", "price": 20}, session)
    order = await market.post("orders", "/api/orders", {"ticketId": ticket["id"]}, session)
    await market.quiet()
    documents = market.store["tickets"]["tickets"].find_one({"_id": ticket["id"]})
    copy = market.store["orders"]["tickets"].find_one({"_id": ticket["id"]})
    placed = market.store["orders"]["orders"].find_one({"_id": order["id"]})
    assert documents
    assert copy
    assert placed
    for_sale = documents | {"version": 0, "order_id": None, "order_n": 0}
    return Templates(for_sale, copy | {"version": 0}, placed)


async def add(market: Market, templates: Templates, count: int, progress: Progress) -> list[str]:
    """Add `count` tickets with their copies and as many orders; the ids of those for sale, oldest first."""
    url = market.stack.env["MONGO_URL"]
    if count <= BATCH:
        return await asyncio.to_thread(_write, url, templates, 0, count)
    loop = asyncio.get_running_loop()
    for_sale: list[str] = []
    # Two processes: the driver's encoding, not the store, is what takes time.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        waiting: set[asyncio.Future[list[str]]] = set()
        for begin in range(0, count, BATCH):
            size = min(BATCH, count - begin)
            waiting.add(loop.run_in_executor(pool, _write, url, templates, begin, size))
            if len(waiting) == 4:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    for_sale += each.result()
            progress(begin + size)
        for ids in await asyncio.gather(*waiting):
            for_sale += ids
    return sorted(for_sale)


async def add_for_sale(market: Market, templates: Templates, count: int) -> list[str]:
    """Add tickets that nobody has ordered; their ids."""
    ids = _ids(count)
    pairs = [_ticket(templates, identity, n) for n, identity in enumerate(ids)]
    await asyncio.to_thread(_insert, market.store, pairs, [])
    return ids


def _write(url: str, templates: Templates, begin: int, size: int) -> list[str]:
    ids = _ids(size)
    pairs, orders, for_sale = [], [], []
    for n, identity in enumerate(ids):
        ticket, copy = _ticket(templates, identity, begin + n)
        if n % 2:
            first, second = _orders(templates, ticket)
            orders += [first, second]
            ticket |= {"order_id": second["_id"], "order_n": 2, "version": 3}
            copy |= {"version": 3}
        else:
            for_sale.append(identity)
        pairs.append((ticket, copy))
    client: MongoClient[Document] = MongoClient(url)
    _insert(client, pairs, orders)
    client.close()
    return for_sale


def _insert(
    client: MongoClient[Document], pairs: list[tuple[Document, Document]], orders: list[Document]
) -> None:
    quick = WriteConcern(w=1)
    for database, name, documents in (
        ("tickets", "tickets", [ticket for ticket, _ in pairs]),
        ("orders", "tickets", [copy for _, copy in pairs]),
        ("orders", "orders", orders),
    ):
        if documents:
            collection = client[database][name].with_options(write_concern=quick)
            collection.insert_many(documents, ordered=False)


def _ticket(templates: Templates, identity: str, n: int) -> tuple[Document, Document]:
    title = f"Concert {n} {_WORDS[n % len(_WORDS)]} row {n % 40}"
    seller = f"{n % _SELLERS:024x}"
    facts = {"_id": identity, "title": title, "price_cents": 1_000 + n % 9_000}
    words = sorted(set(title.lower().split()))
    ticket = templates.ticket | facts | {"user_id": seller, "words": words}
    return ticket, templates.copy | facts | {"seller_id": seller}


def _orders(templates: Templates, ticket: Document) -> Iterator[Document]:
    for n, decided in enumerate(({"status": "cancelled", "reason": "user"}, {"status": "complete"}), 1):
        ordered = {
            "id": ticket["_id"],
            "title": ticket["title"],
            "price_cents": ticket["price_cents"],
            "n": n,
        }
        people = {"user_id": secrets.token_hex(12), "seller_id": ticket["user_id"]}
        yield templates.order | {"_id": str(ObjectId()), "ticket": ordered, "version": 1} | people | decided


def _ids(count: int) -> list[str]:
    return [str(ObjectId()) for _ in range(count)]
