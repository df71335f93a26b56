"""The ids of the Stripe events that were processed."""

from datetime import timedelta

from pymongo import ASCENDING, IndexModel

from ticketing_common.storage.mongo import Database
from ticketing_common.values.clock import now

_KEPT = timedelta(days=7)
"""Stripe retries an event for three days."""


class ProcessedEvents:
    def __init__(self, database: Database) -> None:
        self._events = database["stripe_events"]

    async def ensure_indexes(self) -> None:
        expiry = IndexModel([("at", ASCENDING)], expireAfterSeconds=int(_KEPT.total_seconds()))
        await self._events.create_indexes([expiry])

    async def add(self, event_id: str) -> None:
        await self._events.update_one({"_id": event_id}, {"$setOnInsert": {"at": now()}}, upsert=True)

    async def contains(self, event_id: str) -> bool:
        return await self._events.find_one({"_id": event_id}) is not None
