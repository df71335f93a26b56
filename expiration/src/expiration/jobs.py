"""What RQ runs: telling of the expiry of every order that is due.

Asked of the ledger, so never early, and never of an order that is decided. A job may run twice, or be
killed at any point: what it had not yet marked is published again under the same event id, and the
stream drops the duplicate.
"""

import asyncio
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from expiration.metrics import LATE_SECONDS
from expiration.repository import Ledger
from ticketing_common import jetstream, mongo
from ticketing_common.clock import now
from ticketing_common.events import ExpirationComplete
from ticketing_common.jetstream import Bus
from ticketing_common.logs import get_logger

_BATCH = 500
_ACKNOWLEDGED_WITHIN = 2.0
"""Seconds; after a restart of NATS an answer under way never comes, and the next job must not wait for it."""

log = get_logger(__name__)


@dataclass(frozen=True)
class Connections:
    """What the worker process keeps open for its jobs, the event loop it belongs to, and when to end."""

    loop: asyncio.AbstractEventLoop
    ledger: Ledger
    bus: Bus
    stopping: threading.Event


CONNECTIONS: ContextVar[Connections] = ContextVar("connections")
"""Set by the worker: RQ finds a job by its name and can hand it nothing that lives."""


def expire_due() -> None:
    """The RQ job. It blocks the worker's thread while the worker's event loop does the work."""
    connections = CONNECTIONS.get()
    work = publish_due(connections.ledger, connections.bus, connections.stopping)
    asyncio.run_coroutine_threadsafe(work, connections.loop).result()


async def publish_due(ledger: Ledger, bus: Bus, stopping: threading.Event) -> None:
    """Publish ExpirationComplete for every order that is due, until none is or it is told to stop.

    Then, and when a store is down, the rest stays in the ledger: the reconciler has another job run for it.
    """
    told, late = 0, timedelta()
    try:
        while not stopping.is_set() and (due := await ledger.due(now(), _BATCH)):
            published = await _publish(due, bus)
            moment = now()
            late = max(late, moment - min(due.values()))
            for order_id in published:
                LATE_SECONDS.observe((moment - due[order_id]).total_seconds())
            await ledger.mark_told(published, moment)
            told += len(published)
            if len(published) < len(due):
                log.warning("nats did not take every expiry", left=len(due) - len(published))
                break
    except mongo.DOWN as error:
        log.warning("the ledger is out of reach", reason=str(error)[:200])
    if told:
        log.info("orders expired", count=told, late_by_ms=round(late.total_seconds() * 1e3))


async def _publish(order_ids: Iterable[str], bus: Bus) -> list[str]:
    """Publish all at once; returns those that the stream has on disk."""
    tasks = {asyncio.create_task(bus.publish(ExpirationComplete(order_id=i))): i for i in order_ids}
    done, late = await asyncio.wait(tasks, timeout=_ACKNOWLEDGED_WITHIN)
    for task in late:
        task.cancel()
    for task in done:
        error = task.exception()
        if error and not isinstance(error, jetstream.DOWN):
            raise error
    return [tasks[task] for task in done if not task.exception()]
