"""The queries and indexes of the orders service."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from orders.models import Order, Refund, SalesTotals, Ticket, event_of, update_refund
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.storage.documents import DocumentNotFound, Documents, DuplicateDocument
from ticketing_common.storage.idempotency import (
    IDEMPOTENCY_INDEX,
    StoredResponse,
    find_stored_response,
)
from ticketing_common.storage.mongo import Database
from ticketing_common.storage.outbox import Outbox
from ticketing_common.values.errors import NotFound
from ticketing_common.values.events import OrderStatus


class Orders:
    """Orders, our copies of tickets, and the outcomes of refunds."""

    def __init__(self, database: Database, outbox: Outbox, arrivals: Arrivals) -> None:
        self._orders = Documents(database, "orders", Order, outbox=outbox, event_of=event_of)
        self._tickets = Documents(database, "tickets", Ticket)
        self._refunds = Documents(database, "refunds", Refund)
        self._arrivals = arrivals

    async def ensure_indexes(self) -> None:
        await self._orders.ensure_indexes(
            # Prevents double sales: of concurrent inserts of a ticket's nth order, one succeeds.
            IndexModel([("ticket.id", ASCENDING), ("ticket.n", DESCENDING)], unique=True, name="claim"),
            IndexModel([("user_id", ASCENDING), ("_id", ASCENDING)]),
            # Contains the price, so that the sales are summed without reading an order.
            IndexModel(
                [
                    ("seller_id", ASCENDING),
                    ("status", ASCENDING),
                    ("_id", DESCENDING),
                    ("ticket.price_cents", ASCENDING),
                ]
            ),
            IDEMPOTENCY_INDEX,
        )

    async def try_claim(self, order: Order, **derived: Any) -> bool:
        """Insert the order, which reserves its ticket; False if the ticket already has an nth order.

        `derived`: see `request_fields`. Raises IdempotencyKeyTaken.
        """
        try:
            await self._orders.insert(order, **derived)
        except DuplicateDocument:
            return False
        return True

    async def find_response(self, key: bytes) -> StoredResponse | None:
        """The response to an earlier request with this Idempotency-Key. Raises Unavailable."""
        return await find_stored_response(self._orders.collection, key)

    async def find_last(self, ticket_id: str) -> Order | None:
        """The latest order of a ticket."""
        return await self._orders.find_last({"ticket.id": ticket_id}, by="ticket.n")

    async def get(self, order_id: str) -> Order:
        """The order with this id. Raises NotFound."""
        order = await self._orders.find(id=order_id)
        if order is None:
            raise NotFound("order")
        return order

    async def change(self, order_id: str, decide: Callable[[Order], Order]) -> Order:
        """Replace an order by what `decide` returns. Raises NotFound, and what `decide` raises."""
        try:
            return await self._orders.change(decide, id=order_id)
        except DocumentNotFound:
            raise NotFound("order") from None

    async def page(
        self, user_id: str, limit: int, after: str | None, *, newest_first: bool = False
    ) -> list[Order]:
        """At most `limit` orders of a buyer."""
        return await self._orders.find_page(
            {"user_id": user_id}, limit, newest_first=newest_first, after=after
        )

    async def page_sales(
        self, seller_id: str, status: OrderStatus, limit: int, after: str | None
    ) -> list[Order]:
        """At most `limit` orders of a seller's tickets with this status, newest first."""
        criteria = {"seller_id": seller_id, "status": status}
        return await self._orders.find_page(criteria, limit, newest_first=True, after=after)

    async def sum_sales(self, seller_id: str) -> SalesTotals:
        criteria = {"seller_id": seller_id, "status": {"$in": ["created", "complete"]}}
        totals = await self._orders.sum_by(criteria, by="status", of="ticket.price_cents")
        reserved, _ = totals.get("created", (0, 0))
        sold, earnings_cents = totals.get("complete", (0, 0))
        return SalesTotals(reserved=reserved, sold=sold, earnings_cents=earnings_cents)

    async def get_ticket(self, ticket_id: str, user_id: str | None = None) -> Ticket:
        """Our copy of a ticket. Waits briefly if the event that creates it may still be in flight.

        `user_id`: the user of the request, None for an anonymous one. Raises NotFound and Unavailable.
        """
        look_up = partial(self._tickets.find, id=ticket_id)
        ticket = await self._arrivals.find_or_wait(ticket_id, look_up, user_id=user_id)
        if ticket is None:
            raise NotFound("ticket")
        return ticket

    async def store_ticket(self, ticket: Ticket) -> None:
        """Store our copy of a ticket, unless a newer one is stored.

        Also adds the seller to a copy, and to its orders, that a release without sellers stored.
        """
        before = await self._tickets.replace_if_newer(ticket)
        if before is None:
            await self._arrivals.notify(ticket.id)
            return
        # Repeated for a duplicate event: a redelivery repairs a crash between the two writes.
        if before.seller_id is None or before.version >= ticket.version:
            await self._orders.collection.update_many(
                {"ticket.id": ticket.id, "seller_id": None}, {"$set": {"seller_id": ticket.seller_id}}
            )

    async def find_refund(self, order_id: str) -> Refund | None:
        """The outcome of a refund; None while it is pending."""
        return await self._refunds.find(id=order_id)

    async def store_refund(self, refund: Refund) -> None:
        """Store the outcome of a refund, unless a newer one is stored."""
        try:
            await self._refunds.insert(refund)
        except DuplicateDocument:
            await self._refunds.change(partial(update_refund, received=refund), id=refund.id)
