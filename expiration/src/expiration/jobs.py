"""Publishing the expiry of every order that is due: by an RQ job, else by a look at the ledger.

Both read the ledger, so they are never early, and never publish an order that is decided. Either may run
twice, on several workers at once, or be killed at any point: what is not yet marked is published again
under the same event id, and the stream drops the duplicate.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from expiration.metrics import LATE_SECONDS, PUBLISHED
from expiration.repository import Ledger
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus
from ticketing_common.observability.logs import get_logger
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE
from ticketing_common.values.clock import now
from ticketing_common.values.events import ExpirationComplete

_BATCH = 500
_ACKNOWLEDGED_WITHIN = 2.0
"""Seconds; after a restart of NATS an answer under way never comes, and the next job must not wait for it."""
_OVERDUE = timedelta(seconds=0.2)
"""More than a job needs at its ordinary work; with the interval below, well within a second."""
_LOOK_EVERY = (0.15, 0.25)
"""Seconds, drawn each time, so that several workers do not look at the same moment."""

log = get_logger(__name__)


class Publisher:
    """Publishes what is due, one run at a time in this process."""

    def __init__(self, ledger: Ledger, bus: Bus) -> None:
        self._ledger = ledger
        self._bus = bus
        self._publishing = asyncio.Lock()

    async def publish_overdue(self, stopping: asyncio.Event) -> None:
        """Until told to stop: publish what is overdue, because Redis did not take or release its job."""
        was_down = False
        while not stopping.is_set():
            try:
                is_overdue = await self._ledger.has_due(now() - _OVERDUE)
                was_down = False
            except MONGO_UNAVAILABLE as error:
                if not was_down:
                    log.warning("the ledger is out of reach", reason=str(error)[:200])
                is_overdue, was_down = False, True
            if is_overdue:
                await self.publish_due("ledger", stopping.is_set)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), random.uniform(*_LOOK_EVERY))

    async def publish_due(self, source: str, is_stopping: Callable[[], bool]) -> None:
        """Publish ExpirationComplete for every order that is due, until none is or it is told to stop.

        When a store is down, the rest stays in the ledger, and is published from there.
        """
        async with self._publishing:
            count, late = 0, timedelta()
            try:
                while not is_stopping() and (due := await self._ledger.due(now(), _BATCH)):
                    published = await _publish(due, self._bus)
                    moment = now()
                    late = max(late, moment - min(due.values()))
                    for order_id in published:
                        LATE_SECONDS.observe((moment - due[order_id]).total_seconds())
                    PUBLISHED.labels(source).inc(len(published))
                    await self._ledger.mark_told(published, moment)
                    count += len(published)
                    if len(published) < len(due):
                        log.warning("nats did not take every expiry", left=len(due) - len(published))
                        break
            except MONGO_UNAVAILABLE as error:
                log.warning("the ledger is out of reach", reason=str(error)[:200])
            if count:
                log.info(
                    "orders expired", count=count, source=source, late_by_ms=round(late.total_seconds() * 1e3)
                )


@dataclass(frozen=True)
class Connections:
    """What the worker process keeps open for its jobs, the event loop it belongs to, and when to end."""

    loop: asyncio.AbstractEventLoop
    publisher: Publisher
    stopping: threading.Event


CONNECTIONS: ContextVar[Connections] = ContextVar("connections")
"""Set by the worker: RQ finds a job by its name and can hand it nothing that lives."""


def expire_due() -> None:
    """The RQ job. It blocks the worker's thread while the worker's event loop does the work."""
    connections = CONNECTIONS.get()
    work = connections.publisher.publish_due("job", connections.stopping.is_set)
    asyncio.run_coroutine_threadsafe(work, connections.loop).result()


async def _publish(order_ids: Iterable[str], bus: Bus) -> list[str]:
    """Publish all at once; returns those that the stream has on disk."""
    tasks = {asyncio.create_task(bus.publish(ExpirationComplete(order_id=i))): i for i in order_ids}
    done, late = await asyncio.wait(tasks, timeout=_ACKNOWLEDGED_WITHIN)
    for task in late:
        task.cancel()
    for task in done:
        error = task.exception()
        if error and not isinstance(error, NATS_UNAVAILABLE):
            raise error
    return [tasks[task] for task in done if not task.exception()]
