"""The reconciler: keeps the jobs in Redis in line with the ledger, and measures what is overdue."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from redis import RedisError

from expiration.metrics import OVERDUE_SECONDS, RESCHEDULED
from expiration.pending import PendingJobs
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common.observability.logs import get_logger
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE
from ticketing_common.values.clock import now

_WRITE_EVERY = 0.05
_MEASURE_EVERY = 2.0
_RESCHEDULE_EVERY = 2.0
_RESCHEDULED_AT_ONCE = 1_000

log = get_logger(__name__)


async def reconcile(ledger: Ledger, schedule: Schedule, jobs: PendingJobs, stopping: asyncio.Event) -> None:
    """Until told to stop: write pending changes, add the jobs that Redis lacks, measure what is overdue."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_repeat(jobs.write, _WRITE_EVERY, stopping))
        group.create_task(_repeat(lambda: reschedule(ledger, schedule), _RESCHEDULE_EVERY, stopping))
        group.create_task(_repeat(lambda: measure_overdue(ledger), _MEASURE_EVERY, stopping))


async def measure_overdue(ledger: Ledger) -> None:
    """Set the gauge of the oldest expiry that is due and not published; the worker publishes it."""
    moment = now()
    oldest = min((await ledger.due(moment, 1)).values(), default=moment)
    OVERDUE_SECONDS.set((moment - oldest).total_seconds())


async def reschedule(ledger: Ledger, schedule: Schedule) -> None:
    """Add the missing jobs of the next thousand orders to expire."""
    upcoming = await ledger.upcoming(now(), _RESCHEDULED_AT_ONCE)
    missing = await asyncio.to_thread(schedule.without_job, upcoming)
    if missing:
        await asyncio.to_thread(schedule.add, {i: upcoming[i] for i in missing})
        RESCHEDULED.inc(len(missing))
        log.info("jobs that redis had lost are scheduled again", count=len(missing))


async def _repeat(step: Callable[[], Awaitable[None]], seconds: float, stopping: asyncio.Event) -> None:
    was_down = False
    while not stopping.is_set():
        try:
            await step()
            was_down = False
        except (*MONGO_UNAVAILABLE, RedisError) as error:
            if not was_down:
                log.warning("cannot reconcile while a store is down", reason=str(error)[:200])
            was_down = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)
