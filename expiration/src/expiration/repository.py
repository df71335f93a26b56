"""The queries and indexes of the expiration service."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import pymongo
from pymongo import ASCENDING, IndexModel

from expiration.models import Entry
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import Database

RESOLVED_KEPT = timedelta(days=7)
"""How long a resolved entry is kept, so that late events of its order are recognised."""


class Ledger:
    """When each order expires: the source of truth, from which the jobs in Redis can be recreated."""

    def __init__(self, database: Database) -> None:
        self._entries = Documents(database, "entries", Entry)

    async def ensure_indexes(self) -> None:
        await self._entries.ensure_indexes(
            # Contains only pending entries, so that it stays small.
            IndexModel(
                [("expires_at", ASCENDING)], partialFilterExpression={"settled_at": None}, name="to_come"
            ),
            IndexModel([("settled_at", ASCENDING)], expireAfterSeconds=int(RESOLVED_KEPT.total_seconds())),
        )

    async def get(self, order_id: str) -> Entry | None:
        return await self._entries.find(id=order_id)

    async def apply_change(
        self, order_id: str, version: int, evolve: Callable[[Entry | None], Entry]
    ) -> Entry | None:
        """Apply an event of an order; None if it is a duplicate. Raises EarlierEventMissing."""
        return await self._entries.apply_change(order_id, version, evolve)

    async def find_due(self, at: datetime, limit: int) -> dict[str, datetime]:
        """The pending orders that expire by `at`, with their times of expiry, earliest first."""
        return await self._find_pending({"$lte": at}, limit)

    async def has_due(self, at: datetime) -> bool:
        """Whether a pending order expires by `at`. Raises one of MONGO_UNAVAILABLE within 2 s."""
        # The driver's default of 5 s would delay a stop: its thread goes on after the call is cancelled.
        with pymongo.timeout(2):
            return bool(await self.find_due(at, 1))

    async def find_upcoming(self, after: datetime, limit: int) -> dict[str, datetime]:
        """The pending orders that expire after `after`, with their times of expiry, earliest first."""
        return await self._find_pending({"$gt": after}, limit)

    async def mark_published(self, order_ids: Iterable[str], at: datetime) -> None:
        """Resolve the orders whose expiry the stream has stored."""
        await self._entries.collection.update_many(
            {"_id": {"$in": list(order_ids)}, "settled_at": None}, {"$set": {"settled_at": at}}
        )

    async def _find_pending(self, expires_at: dict[str, Any], limit: int) -> dict[str, datetime]:
        cursor = self._entries.collection.find(
            {"settled_at": None, "expires_at": expires_at}, {"expires_at": 1}
        )
        found = await cursor.sort("expires_at", ASCENDING).limit(limit).to_list(limit)
        return {document["_id"]: document["expires_at"] for document in found}
