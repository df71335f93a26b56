"""Replicas of a service that consumes events, and the events published to them.

The service is `orders`, the events are those of payments.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from nats.js.api import ConsumerInfo

from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus, open_bus
from ticketing_common.messaging.consumer import subjects_of
from ticketing_common.messaging.dead_letters import DeadLetter, DeadLetters
from ticketing_common.messaging.listener import Handlers, Listener
from ticketing_common.testing import wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.values.events import PaymentFailed, PaymentRefunded
from ticketing_common.values.ids import new_id


class Inbox:
    """A handler that records the orders of the events that it handles. Raises `errors` first, one a call."""

    def __init__(self, *errors: Exception) -> None:
        self.orders: list[str] = []
        self.calls = 0
        self._errors = list(errors)

    async def __call__(self, event: PaymentFailed | PaymentRefunded, _repository: object) -> None:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        self.orders.append(event.order_id)


@asynccontextmanager
async def running_replica(nats_url: str, database: Any, handlers: Handlers) -> AsyncIterator[None]:
    """A replica that consumes these events; its consumer has their subjects when the block starts."""
    async with open_bus(nats_url, "orders") as bus:
        replica = Listener(bus, "orders", handlers, None, DeadLetters(database))
        async with running_job(replica.run):
            await wait_until(lambda: consumes(bus, *(kind.subject for kind in handlers)))
            yield


async def consumed_subjects(bus: Bus) -> frozenset[str]:
    return subjects_of((await bus.js.consumer_info("TICKETING", "orders")).config)


async def consumes(bus: Bus, *subjects: str) -> bool:
    try:
        return await consumed_subjects(bus) >= set(subjects)
    except NATS_UNAVAILABLE:
        return False


async def count_deliveries(bus: Bus) -> int:
    consumer: ConsumerInfo = await bus.js.consumer_info("TICKETING", "orders")
    assert consumer.delivered is not None
    return consumer.delivered.consumer_seq


async def publish_failed(bus: Bus, count: int = 1) -> set[str]:
    """Publishes events of new orders. Returns the ids of the orders."""
    return await _publish(bus, [PaymentFailed(order_id=new_id(), code="declined") for _ in range(count)])


async def publish_refunded(bus: Bus, count: int = 1) -> set[str]:
    """Publishes events of new orders. Returns the ids of the orders."""
    return await _publish(
        bus, [PaymentRefunded(id=new_id(), version=0, order_id=new_id()) for _ in range(count)]
    )


async def _publish(bus: Bus, events: Sequence[PaymentFailed | PaymentRefunded]) -> set[str]:
    for start in range(0, len(events), 50):
        await asyncio.gather(*(bus.publish(event) for event in events[start : start + 50]))
    return {event.order_id for event in events}


async def wait_until_handled(inbox: Inbox, orders: set[str], seconds: float = 60.0) -> None:
    async def is_handled() -> bool:
        return set(inbox.orders) >= orders

    await wait_until(is_handled, seconds)


async def wait_until_acknowledged(bus: Bus) -> None:
    """Waits until the service has acknowledged all events."""

    async def is_acknowledged() -> bool:
        return await bus.pending_count("orders") == 0

    await wait_until(is_acknowledged)


async def read_all(letters: DeadLetters) -> list[DeadLetter]:
    return [letter async for letter in letters.read(await letters.ids())]
