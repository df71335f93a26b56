"""Tickets and orders by the million: copies of one ticket and one order that the services wrote.

Half of the tickets are for sale. Each of the others has a cancelled and a completed order. So there are as
many orders as tickets, and every collection has documents in every state.
"""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from pymongo import WriteConcern

from ticketing_bench.bench_stack import BenchStack

_BATCH = 2_000
_SELLERS = 500
_WORDS = ["stalls", "circle", "balcony", "arena", "standing", "gallery", "box", "terrace"]

Document = dict[str, Any]


@dataclass
class Dataset:
    stack: BenchStack
    ticket: Document  # a ticket for sale, as the tickets service stores it
    copy: Document  # the same in the orders service's read model
    order: Document
    for_sale: list[str] = field(default_factory=list)  # the ids of tickets, oldest first

    async def grow_to(self, size: int) -> None:
        """Add tickets, their copies and their orders until there are `size` tickets."""
        missing = size - self.stack.mongo["tickets"]["tickets"].estimated_document_count()
        for start in range(0, max(missing, 0), _BATCH):
            self.for_sale += await asyncio.to_thread(self._add, start, min(_BATCH, missing - start))
        # The inserts do not wait for the disk. Flush now, so that the next measurement does not pay for it.
        self.stack.mongo["admin"].command("fsync")

    async def add_for_sale(self, count: int) -> list[str]:
        """Add tickets without orders, and return their ids."""
        tickets = [self._new_ticket(n) for n in range(count)]
        await asyncio.to_thread(self._insert, tickets, [])
        return [ticket["_id"] for ticket in tickets]

    def _add(self, start: int, count: int) -> list[str]:
        tickets = [self._new_ticket(start + n) for n in range(count)]
        orders: list[Document] = []
        for ticket in tickets[1::2]:
            orders += self._new_orders(ticket)
            ticket.update(order_id=orders[-1]["_id"], order_n=2, version=3)
        self._insert(tickets, orders)
        return [ticket["_id"] for ticket in tickets[::2]]

    def _new_ticket(self, n: int) -> Document:
        title = f"Concert {n} {_WORDS[n % len(_WORDS)]} row {n % 40}"
        return self.ticket | {
            "_id": str(ObjectId()),
            "title": title,
            "price_cents": 1_000 + n % 9_000,
            "user_id": f"{n % _SELLERS:024x}",
            "words": sorted(set(title.lower().split())),
        }

    def _new_orders(self, ticket: Document) -> list[Document]:
        ordered = {"id": ticket["_id"], "title": ticket["title"], "price_cents": ticket["price_cents"]}
        states = [{"status": "cancelled", "reason": "user"}, {"status": "complete"}]
        return [
            self.order
            | {"_id": str(ObjectId()), "ticket": ordered | {"n": n}, "version": 1}
            | {"user_id": secrets.token_hex(12), "seller_id": ticket["user_id"]}
            | state
            for n, state in enumerate(states, start=1)
        ]

    def _insert(self, tickets: list[Document], orders: list[Document]) -> None:
        shared = ("_id", "version", "title", "price_cents")
        copies = [
            self.copy | {name: each[name] for name in shared} | {"seller_id": each["user_id"]}
            for each in tickets
        ]
        for database, name, documents in (
            ("tickets", "tickets", tickets),
            ("orders", "tickets", copies),
            ("orders", "orders", orders),
        ):
            collection = self.stack.mongo[database][name].with_options(write_concern=WriteConcern(w=1))
            if documents:
                collection.insert_many(documents, ordered=False)


async def create_dataset(stack: BenchStack) -> Dataset:
    """Have the services write a ticket and an order, and use their documents as templates."""
    session = stack.new_session()
    tickets, orders = await stack.connect("tickets"), await stack.connect("orders")
    listed = await tickets.create("/api/tickets", session, title="One of many", price=20)
    placed = await orders.create("/api/orders", session, ticketId=listed["id"])
    await stack.wait_until_idle()
    ticket = stack.mongo["tickets"]["tickets"].find_one({"_id": listed["id"]})
    copy = stack.mongo["orders"]["tickets"].find_one({"_id": listed["id"]})
    order = stack.mongo["orders"]["orders"].find_one({"_id": placed["id"]})
    assert ticket
    assert copy
    assert order
    return Dataset(stack, ticket | {"version": 0, "order_id": None, "order_n": 0}, copy, order)
