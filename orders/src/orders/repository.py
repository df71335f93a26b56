"""Every query and index of the orders service."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from orders.models import NoSuchOrder, NoSuchTicket, Order, Refund, Takings, Ticket, announce, later
from ticketing_common import idempotency
from ticketing_common.arrivals import Arrivals
from ticketing_common.events import Status
from ticketing_common.idempotency import StoredAnswer
from ticketing_common.mongo import Database, Documents, Duplicate, Missing
from ticketing_common.outbox import Relay


class Orders:
    """The orders, our copies of the tickets, and what became of refunds."""

    def __init__(self, database: Database, relay: Relay) -> None:
        self._orders = Documents(database, "orders", Order, relay=relay, announce=announce)
        self._tickets = Documents(database, "tickets", Ticket)
        self._refunds = Documents(database, "refunds", Refund)
        self.arrivals = Arrivals(relay.bus)

    async def ensure_indexes(self) -> None:
        await self._orders.ensure_indexes(
            # The guard of the market: of all who try to place the nth order of a ticket, one can.
            IndexModel([("ticket.id", ASCENDING), ("ticket.n", DESCENDING)], unique=True, name="claim"),
            IndexModel([("user_id", ASCENDING), ("_id", ASCENDING)]),
            # With the price in it, the takings are summed without reading an order.
            IndexModel(
                [
                    ("seller_id", ASCENDING),
                    ("status", ASCENDING),
                    ("_id", DESCENDING),
                    ("ticket.price_cents", ASCENDING),
                ]
            ),
            idempotency.INDEX,
        )

    async def claim(
        self,
        ticket_id: str,
        place: Callable[[Order | None], Order],
        *,
        untouched: bool = False,
        derive: Callable[[Order], dict[str, Any]] = lambda _: {},
    ) -> Order:
        """Insert the order that `place` makes, given the ticket's last one: the insert itself is the claim.

        `place` is called again when another buyer came first, and is then shown that buyer's order.
        Raises what `place` raises, and KeyTaken. An `untouched` ticket had no order when it was last heard
        of: its last one is looked for only if the insert finds that it has one by now. `derive`: see
        idempotency.derive_request.
        """
        last = None if untouched else await self.last_of(ticket_id)
        while True:
            order = place(last)
            try:
                await self._orders.insert(order, **derive(order))
            except Duplicate:
                last = await self.last_of(ticket_id)
                continue
            return order

    async def find_answer(self, key: bytes) -> StoredAnswer | None:
        """The answer to an earlier request with this key. Raises Unavailable."""
        return await idempotency.find_answer(self._orders.collection, key)

    async def last_of(self, ticket_id: str) -> Order | None:
        """The last order of a ticket: the one that holds it, if any does."""
        return await self._orders.last({"ticket.id": ticket_id}, by="ticket.n")

    async def get(self, order_id: str) -> Order:
        """Raises NoSuchOrder."""
        order = await self._orders.find(id=order_id)
        if order is None:
            raise NoSuchOrder
        return order

    async def change(self, order_id: str, decide: Callable[[Order], Order]) -> Order:
        """The order as `decide` leaves it. Raises NoSuchOrder, and what `decide` raises."""
        try:
            return await self._orders.change(decide, id=order_id)
        except Missing:
            raise NoSuchOrder from None

    async def page(
        self, user_id: str, limit: int, after: str | None, *, newest_first: bool = False
    ) -> list[Order]:
        """At most `limit` of a buyer's orders, oldest first unless told otherwise."""
        return await self._orders.page({"user_id": user_id}, limit, newest_first=newest_first, after=after)

    async def sales(self, seller_id: str, status: Status, limit: int, after: str | None) -> list[Order]:
        """At most `limit` orders of a seller's tickets that are in this state, newest first."""
        criteria = {"seller_id": seller_id, "status": status}
        return await self._orders.page(criteria, limit, newest_first=True, after=after)

    async def takings(self, seller_id: str) -> Takings:
        """What all the orders of a seller's tickets amount to."""
        criteria = {"seller_id": seller_id, "status": {"$in": ["created", "complete"]}}
        totals = await self._orders.totals(criteria, by="status", of="ticket.price_cents")
        reserved, _ = totals.get("created", (0, 0))
        sold, earnings_cents = totals.get("complete", (0, 0))
        return Takings(reserved=reserved, sold=sold, earnings_cents=earnings_cents)

    async def ticket(self, ticket_id: str, user_id: str | None = None) -> Ticket:
        """Our copy of a ticket; waits for one listed a moment ago, on behalf of a user or (None) of anybody.

        Raises NoSuchTicket, Unavailable.
        """
        look = partial(self._tickets.find, id=ticket_id)
        ticket = await self.arrivals.find(ticket_id, look, user_id=user_id)
        if ticket is None:
            raise NoSuchTicket
        return ticket

    async def require_ticket(self, ticket_id: str) -> None:
        """Raises NoSuchTicket, Unavailable."""
        await self.ticket(ticket_id)

    async def follow_ticket(self, ticket: Ticket) -> None:
        """Keep this as our copy, unless ours is newer.

        A ticket that was copied before sellers were kept gets its seller here, and so do its orders.
        """
        before = await self._tickets.keep_newest(ticket)
        if before is None:
            await self.arrivals.announce(ticket.id)
            return
        # Also for a duplicate: a crash between the two writes is repaired by the redelivery.
        if before.seller_id is None or before.version >= ticket.version:
            await self._orders.collection.update_many(
                {"ticket.id": ticket.id, "seller_id": None}, {"$set": {"seller_id": ticket.seller_id}}
            )

    async def refund_of(self, order_id: str) -> Refund | None:
        """What became of a refund; None while it is under way."""
        return await self._refunds.find(id=order_id)

    async def follow_refund(self, refund: Refund) -> None:
        """Keep this, unless a later event was heard already."""
        try:
            await self._refunds.insert(refund)
        except Duplicate:
            await self._refunds.change(partial(later, told=refund), id=refund.id)
