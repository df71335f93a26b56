"""Every query and index of the tickets service."""

from collections.abc import Callable
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from ticketing_common import idempotency
from ticketing_common.idempotency import StoredAnswer
from ticketing_common.mongo import Database, Documents, Missing
from ticketing_common.outbox import Relay
from tickets.models import NoSuchTicket, Ticket, announce, words


class Tickets:
    def __init__(self, database: Database, relay: Relay) -> None:
        self._tickets = Documents(database, "tickets", Ticket, relay=relay, announce=announce)

    async def ensure_indexes(self) -> None:
        await self._tickets.ensure_indexes(
            IndexModel([("order_id", ASCENDING), ("_id", DESCENDING)]),
            IndexModel([("order_id", ASCENDING), ("words", ASCENDING), ("_id", DESCENDING)]),
            IndexModel([("user_id", ASCENDING), ("_id", DESCENDING)]),
            idempotency.INDEX,
        )

    async def add(self, ticket: Ticket, **derived: Any) -> None:
        """`derived`: see idempotency.derive_request. Raises KeyTaken."""
        await self._tickets.insert(ticket, words=words(ticket.title), **derived)

    async def find_answer(self, key: bytes) -> StoredAnswer | None:
        """The answer to an earlier request with this key. Raises Unavailable."""
        return await idempotency.find_answer(self._tickets.collection, key)

    async def get(self, ticket_id: str) -> Ticket:
        """Raises NoSuchTicket."""
        ticket = await self._tickets.find(id=ticket_id)
        if ticket is None:
            raise NoSuchTicket
        return ticket

    async def change(self, ticket_id: str, decide: Callable[[Ticket], Ticket]) -> Ticket:
        """The ticket as `decide` leaves it. Raises NoSuchTicket, and what `decide` raises."""
        try:
            return await self._tickets.change(decide, lambda t: {"words": words(t.title)}, id=ticket_id)
        except Missing:
            raise NoSuchTicket from None

    async def page(
        self, *, query: str, seller_id: str | None, with_held: bool, limit: int, after: str | None
    ) -> list[Ticket]:
        """At most `limit` tickets, newest first, whose titles have every word of the query.

        `with_held`: those that an order holds too, not just those for sale.
        """
        criteria: dict[str, Any] = {}
        if not with_held:
            criteria["order_id"] = None
        if seller_id is not None:
            criteria["user_id"] = seller_id
        if wanted := words(query):
            criteria["words"] = {"$all": wanted}
        return await self._tickets.page(criteria, limit, newest_first=True, after=after)
