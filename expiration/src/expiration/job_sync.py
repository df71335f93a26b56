"""Synchronizes the jobs in Redis with the ledger, and measures overdue expiries."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from redis import RedisError

from expiration.job_changes import JobChanges
from expiration.job_queue import JobQueue
from expiration.metrics import MISSING_JOBS_ADDED, OVERDUE_SECONDS
from expiration.repository import Ledger
from ticketing_common.background import repeat
from ticketing_common.observability.logs import get_logger
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE
from ticketing_common.values.clock import now

_WRITE_EVERY = 0.05
_ADD_MISSING_EVERY = 2.0
_MEASURE_EVERY = 2.0
"""Seconds."""
_SYNCED_ORDERS = 1_000

log = get_logger(__name__)


async def sync_jobs(
    ledger: Ledger, job_queue: JobQueue, job_changes: JobChanges, stopping: asyncio.Event
) -> None:
    """Until `stopping` is set: write job changes, add missing jobs, and measure overdue expiries."""
    steps: list[tuple[str, Callable[[], Awaitable[object]], float]] = [
        ("write_job_changes", job_changes.write, _WRITE_EVERY),
        ("add_missing_jobs", partial(add_missing_jobs, ledger, job_queue), _ADD_MISSING_EVERY),
        ("measure_overdue", partial(measure_overdue, ledger), _MEASURE_EVERY),
    ]
    outages = (*MONGO_UNAVAILABLE, RedisError)
    async with asyncio.TaskGroup() as group:
        for name, step, every in steps:
            group.create_task(repeat(step, stopping, name=name, every=every, outages=outages))


async def measure_overdue(ledger: Ledger) -> None:
    """Set the gauge of overdue expiries; the worker publishes them."""
    moment = now()
    oldest = min((await ledger.find_due(moment, 1)).values(), default=moment)
    OVERDUE_SECONDS.set((moment - oldest).total_seconds())


async def add_missing_jobs(ledger: Ledger, job_queue: JobQueue) -> None:
    """Add the missing jobs of the next thousand orders to expire."""
    upcoming = await ledger.find_upcoming(now(), _SYNCED_ORDERS)
    missing = await asyncio.to_thread(job_queue.find_missing, upcoming)
    if missing:
        await asyncio.to_thread(job_queue.add, {order_id: upcoming[order_id] for order_id in missing})
        MISSING_JOBS_ADDED.inc(len(missing))
        log.info("added jobs that were missing in redis", count=len(missing))
