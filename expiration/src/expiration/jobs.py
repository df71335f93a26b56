"""Publishes the expiry of each order that is due: by an RQ job, otherwise by a check of the ledger.

Both read the ledger, so they are never early and never publish the expiry of a decided order. They may run
several times, on several workers, and be killed at any point: what is not marked as published is published
again with the same event id, and the stream drops the duplicate.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from expiration.metrics import LATE_SECONDS, PUBLISHED
from expiration.repository import Ledger
from ticketing_common.background import repeat
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus
from ticketing_common.observability.logs import get_logger
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE
from ticketing_common.values.clock import now
from ticketing_common.values.events import ExpirationComplete

_BATCH = 500
_PUBLISH_TIMEOUT = 2.0
"""Seconds. A restart of NATS loses pending acknowledgements, and the next job must not wait for them."""
_OVERDUE_AFTER = timedelta(seconds=0.2)
"""More than a job usually needs; with the interval below, less than a second."""
_CHECK_EVERY = 0.15
_CHECK_JITTER = 0.1
"""Seconds."""

log = get_logger(__name__)


class Publisher:
    """Publishes expiries, in one run at a time per process."""

    def __init__(self, ledger: Ledger, bus: Bus) -> None:
        self._ledger = ledger
        self._bus = bus
        self._publishing = asyncio.Lock()

    async def publish_overdue(self, stopping: asyncio.Event) -> None:
        """Until `stopping` is set: publish expiries that no job has published, for example without Redis."""

        async def check() -> None:
            if await self._ledger.has_due(now() - _OVERDUE_AFTER):
                await self.publish_due("ledger", stopping.is_set)

        await repeat(
            check,
            stopping,
            name="Publisher.publish_overdue",
            every=_CHECK_EVERY,
            jitter=_CHECK_JITTER,
            outages=MONGO_UNAVAILABLE,
        )

    async def publish_due(self, source: str, is_stopping: Callable[[], bool]) -> None:
        """Publish ExpirationComplete for each order that is due, in batches until none is left.

        Ends early if the process stops or NATS or MongoDB is unavailable: the rest stays pending in the
        ledger. `source`: the label of the metric.
        """
        async with self._publishing:
            count, max_delay = 0, timedelta()
            try:
                while not is_stopping() and (due := await self._ledger.find_due(now(), _BATCH)):
                    published = await _publish(due, self._bus)
                    published_at = now()
                    max_delay = max(max_delay, published_at - min(due.values()))
                    for order_id in published:
                        LATE_SECONDS.observe((published_at - due[order_id]).total_seconds())
                    PUBLISHED.labels(source).inc(len(published))
                    await self._ledger.mark_published(published, published_at)
                    count += len(published)
                    if len(published) < len(due):
                        log.warning("nats did not acknowledge all expiries", left=len(due) - len(published))
                        break
            except MONGO_UNAVAILABLE as error:
                log.warning("mongodb is unavailable", reason=str(error)[:200])
            if count:
                delay_ms = round(max_delay.total_seconds() * 1e3)
                log.info("orders expired", count=count, source=source, late_by_ms=delay_ms)


@dataclass(frozen=True)
class WorkerContext:
    """What the jobs of a worker process share."""

    loop: asyncio.AbstractEventLoop
    publisher: Publisher
    stopping: threading.Event


WORKER_CONTEXT: ContextVar[WorkerContext] = ContextVar("worker_context")
"""Set by the worker: RQ imports a job by its name and can pass it no live objects."""


def expire_due() -> None:
    """The RQ job. Blocks the worker's thread while the event loop publishes.

    Jobs in Redis contain the name of this function, so it must not be renamed or moved.
    """
    context = WORKER_CONTEXT.get()
    publishing = context.publisher.publish_due("job", context.stopping.is_set)
    asyncio.run_coroutine_threadsafe(publishing, context.loop).result()


async def _publish(order_ids: Iterable[str], bus: Bus) -> list[str]:
    """Publish concurrently; returns the orders whose event the stream has stored."""
    tasks = {asyncio.create_task(bus.publish(ExpirationComplete(order_id=i))): i for i in order_ids}
    done, late = await asyncio.wait(tasks, timeout=_PUBLISH_TIMEOUT)
    for task in late:
        task.cancel()
    for task in done:
        error = task.exception()
        if error and not isinstance(error, NATS_UNAVAILABLE):
            raise error
    return [tasks[task] for task in done if not task.exception()]
