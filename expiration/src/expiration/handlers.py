"""What the expiration service does on each event of an order: first the ledger, then the job."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from redis import RedisError

from expiration.models import Entry, begin, settle
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common.clock import now
from ticketing_common.events import OrderCancelled, OrderCompleted, OrderCreated
from ticketing_common.listener import Handlers
from ticketing_common.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class Expirations:
    """Both places where an expiry is kept; only the ledger must not lose it."""

    ledger: Ledger
    schedule: Schedule


async def on_order_created(event: OrderCreated, expirations: Expirations) -> None:
    entry = await expirations.ledger.follow(
        event.id, event.version, lambda _: begin(event.id, event.expires_at)
    )
    if entry:
        await _if_redis_answers(lambda: expirations.schedule.add({entry.id: entry.expires_at}))


async def on_order_decided(event: OrderCancelled | OrderCompleted, expirations: Expirations) -> None:
    def decide(entry: Entry | None) -> Entry:
        assert entry is not None, "an order is created at version 0 and decided later"
        return settle(entry, now())

    if await expirations.ledger.follow(event.id, event.version, decide):
        await _if_redis_answers(lambda: expirations.schedule.remove(event.id))


async def _if_redis_answers(change: Callable[[], None]) -> None:
    """A job that Redis misses is made up for by the reconciler; one too many finds nothing to do."""
    try:
        await asyncio.to_thread(change)
    except RedisError as error:
        log.warning("redis does not answer, the ledger has it", reason=str(error)[:200])


HANDLERS: Handlers = {
    OrderCreated: on_order_created,
    OrderCancelled: on_order_decided,
    OrderCompleted: on_order_decided,
}
