"""Changes of jobs that are not in Redis yet, so that no event handler waits for a slow or frozen Redis."""

import asyncio
from datetime import datetime

from expiration.job_queue import JobQueue


class JobChanges:
    """Changes of jobs by this process, written in batches. A batch that Redis rejects is dropped.

    `job_sync` adds a job that is missing, and a job that was not removed publishes nothing.
    """

    def __init__(self, job_queue: JobQueue) -> None:
        self._job_queue = job_queue
        self._changes: dict[str, datetime | None] = {}

    def add_job(self, order_id: str, expires_at: datetime) -> None:
        self._changes[order_id] = expires_at

    def remove_job(self, order_id: str) -> None:
        self._changes[order_id] = None

    async def write(self) -> None:
        """Write the changes since the last call. Raises redis.RedisError."""
        changes, self._changes = self._changes, {}
        added = {order_id: at for order_id, at in changes.items() if at}
        removed = changes.keys() - added.keys()
        if added:
            await asyncio.to_thread(self._job_queue.add, added)
        if removed:
            await asyncio.to_thread(self._job_queue.remove, removed)
