"""The queries and indexes of the tickets service."""

from collections.abc import Callable
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from ticketing_common.storage.documents import DocumentNotFound, Documents
from ticketing_common.storage.idempotency import (
    IDEMPOTENCY_INDEX,
    StoredResponse,
    find_stored_response,
)
from ticketing_common.storage.mongo import Database
from ticketing_common.storage.outbox import Outbox
from ticketing_common.values.errors import NotFound
from tickets.models import Ticket, event_of, search_words


class Tickets:
    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._tickets = Documents(database, "tickets", Ticket, outbox=outbox, event_of=event_of)

    async def ensure_indexes(self) -> None:
        await self._tickets.ensure_indexes(
            IndexModel([("order_id", ASCENDING), ("_id", DESCENDING)]),
            IndexModel([("order_id", ASCENDING), ("words", ASCENDING), ("_id", DESCENDING)]),
            IndexModel([("user_id", ASCENDING), ("_id", DESCENDING)]),
            IDEMPOTENCY_INDEX,
        )

    async def add(self, ticket: Ticket, **derived: Any) -> None:
        """Store a new ticket. `derived`: see `request_fields`. Raises IdempotencyKeyTaken."""
        await self._tickets.insert(ticket, words=search_words(ticket.title), **derived)

    async def find_response(self, key: bytes) -> StoredResponse | None:
        """The response to an earlier request with this Idempotency-Key. Raises Unavailable."""
        return await find_stored_response(self._tickets.collection, key)

    async def get(self, ticket_id: str) -> Ticket:
        """Raises NotFound."""
        ticket = await self._tickets.find(id=ticket_id)
        if ticket is None:
            raise NotFound("ticket")
        return ticket

    async def change(self, ticket_id: str, decide: Callable[[Ticket], Ticket]) -> Ticket:
        """Replace a ticket by what `decide` returns. Raises NotFound, and what `decide` raises."""
        try:
            return await self._tickets.change(
                decide, lambda ticket: {"words": search_words(ticket.title)}, id=ticket_id
            )
        except DocumentNotFound:
            raise NotFound("ticket") from None

    async def page(
        self, *, query: str, seller_id: str | None, include_reserved: bool, limit: int, after: str | None
    ) -> list[Ticket]:
        """At most `limit` tickets, newest first, that have every word of the query in their title."""
        criteria: dict[str, Any] = {}
        if not include_reserved:
            criteria["order_id"] = None
        if seller_id is not None:
            criteria["user_id"] = seller_id
        if words := search_words(query):
            criteria["words"] = {"$all": words}
        return await self._tickets.find_page(criteria, limit, newest_first=True, after=after)
