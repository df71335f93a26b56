"""Every query and index of the expiration service."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import pymongo
from pymongo import ASCENDING, IndexModel

from expiration.models import Entry
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import Database

KEPT = timedelta(days=7)
"""How long a settled entry stays, so that a late event of its order finds it."""


class Ledger:
    """Which order expires when: the truth, from which every job in Redis can be made again."""

    def __init__(self, database: Database) -> None:
        self._entries = Documents(database, "entries", Entry)

    async def ensure_indexes(self) -> None:
        await self._entries.ensure_indexes(
            # As small as what is still to come, however many entries are settled.
            IndexModel(
                [("expires_at", ASCENDING)], partialFilterExpression={"settled_at": None}, name="to_come"
            ),
            IndexModel([("settled_at", ASCENDING)], expireAfterSeconds=int(KEPT.total_seconds())),
        )

    async def get(self, order_id: str) -> Entry | None:
        return await self._entries.find(id=order_id)

    async def follow(
        self, order_id: str, version: int, evolve: Callable[[Entry | None], Entry]
    ) -> Entry | None:
        """Apply an event of an order; None for a duplicate. Raises EarlierEventUnderWay."""
        return await self._entries.apply_change(order_id, version, evolve)

    async def due(self, moment: datetime, limit: int) -> dict[str, datetime]:
        """The orders that have expired by `moment` and have not been told of: id to time, oldest first."""
        return await self._to_come({"$lte": moment}, limit)

    async def has_due(self, moment: datetime) -> bool:
        """Whether anything is due by `moment`. Raises one of mongo.DOWN within 2 s, not to delay a stop."""
        with pymongo.timeout(2):  # else 5 s, and the driver's thread lives on when its caller is cancelled
            return bool(await self.due(moment, 1))

    async def upcoming(self, moment: datetime, limit: int) -> dict[str, datetime]:
        """The next orders to expire after `moment`: id to time, nearest first."""
        return await self._to_come({"$gt": moment}, limit)

    async def mark_told(self, order_ids: Iterable[str], at: datetime) -> None:
        """Settle the orders whose expiry the stream has."""
        await self._entries.collection.update_many(
            {"_id": {"$in": list(order_ids)}, "settled_at": None}, {"$set": {"settled_at": at}}
        )

    async def _to_come(self, expires_at: dict[str, Any], limit: int) -> dict[str, datetime]:
        cursor = self._entries.collection.find(
            {"settled_at": None, "expires_at": expires_at}, {"expires_at": 1}
        )
        found = await cursor.sort("expires_at", ASCENDING).limit(limit).to_list(limit)
        return {document["_id"]: document["expires_at"] for document in found}
