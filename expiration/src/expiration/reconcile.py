"""The reconciler: brings Redis back in line with the ledger, whatever Redis or the worker has lost."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from redis import RedisError

from expiration.metrics import OVERDUE_JOBS, OVERDUE_SECONDS, RESCHEDULED
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common import mongo
from ticketing_common.clock import now
from ticketing_common.logs import get_logger

_OVERDUE_EVERY = 0.2
_OVERDUE = 0.2
"""Long enough for a worker at its ordinary work; with the step above, well within a second."""
_RESCHEDULE_EVERY = 2.0
_RESCHEDULED_AT_ONCE = 1_000

log = get_logger(__name__)


async def reconcile(ledger: Ledger, schedule: Schedule, stopping: asyncio.Event) -> None:
    """Until told to stop: have what is overdue expire now, and give what is next its job again."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_repeat(lambda: expire_overdue(ledger, schedule), _OVERDUE_EVERY, stopping))
        group.create_task(_repeat(lambda: reschedule(ledger, schedule), _RESCHEDULE_EVERY, stopping))


async def expire_overdue(ledger: Ledger, schedule: Schedule) -> None:
    """Queue a job right now when an expiry is overdue: its own job was lost, or died with its worker."""
    moment = now()
    oldest = min((await ledger.due(moment, 1)).values(), default=moment)
    overdue = (moment - oldest).total_seconds()
    OVERDUE_SECONDS.set(overdue)
    if overdue > _OVERDUE and await asyncio.to_thread(schedule.run_now):
        OVERDUE_JOBS.inc()
        log.info("an expiry is overdue, a job is queued", by_ms=round(overdue * 1e3))


async def reschedule(ledger: Ledger, schedule: Schedule) -> None:
    """See that each of the next thousand orders to expire has its job."""
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
        except (*mongo.DOWN, RedisError) as error:
            if not was_down:
                log.warning("cannot reconcile while a store is down", reason=str(error)[:200])
            was_down = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)
