"""The job changes that are not in Redis yet: no event handler waits for a frozen or slow Redis."""

import asyncio
from datetime import datetime

from expiration.schedule import Schedule


class PendingJobs:
    """Job changes of one process, written together. A change that Redis refuses is dropped.

    The reconciler adds a job that is missing; a job that should have been removed finds nothing to publish.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._changes: dict[str, datetime | None] = {}

    def add(self, order_id: str, expires_at: datetime) -> None:
        self._changes[order_id] = expires_at

    def remove(self, order_id: str) -> None:
        self._changes[order_id] = None

    async def write(self) -> None:
        """Write the changes made since the last call. Raises redis.RedisError."""
        changes, self._changes = self._changes, {}
        added = {order_id: at for order_id, at in changes.items() if at}
        removed = changes.keys() - added.keys()
        if added:
            await asyncio.to_thread(self._schedule.add, added)
        if removed:
            await asyncio.to_thread(self._schedule.remove, removed)
