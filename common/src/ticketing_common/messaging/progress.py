"""Determines whether a service has consumed all published events.

Only then does a missing copy mean that the id does not exist.

docs/decisions/0008-404-only-when-caught-up.md explains the rules.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import ConsumerInfo

from ticketing_common.values.clock import now

WRITTEN_AT = "Written-At"
"""The header with the time at which the event was stored in its outbox, ISO 8601."""

_CACHE_SECONDS = 0.5
"""For how long the state of the consumer is reused, however many requests need it."""
_CATCHING_UP = 15.0
"""Seconds that publishers may need after an outage to publish their outboxes: they may notice its end some
seconds later than this service, a publication in flight times out after 5 s, and a lease ends after 6 s."""
_YOUNG = timedelta(seconds=30)
_BEFORE_START = timedelta(hours=1)
"""An id created at most this long before the start may belong to the backlog of an outage that this process
has not seen."""
_LATE = timedelta(seconds=5)
"""An event that is this old when it is stored or delivered belongs to a backlog."""
_IDLE = 2.0
"""Seconds without a delivery after which unacknowledged events are no longer merely in flight."""


class ConsumerProgress:
    """Determines from the consumer's state, recent deliveries and outages whether events may be missing.

    `read_consumer` returns the state of the consumer, or raises an error if NATS or JetStream does not answer
    or the consumer does not exist.
    """

    def __init__(self, read_consumer: Callable[[], Awaitable[ConsumerInfo]]) -> None:
        self._read_consumer = read_consumer
        self._reading = asyncio.Lock()
        self._read_at = self._outage_at = self._backlog_at = self._delivered_at = float("-inf")
        self._consumer: ConsumerInfo | None = None
        self._lag = timedelta()
        self._started_at: datetime | None = None

    def note_start(self) -> None:
        """This process has connected for the first time; it has no record of earlier outages."""
        self._started_at = now()

    def note_outage(self) -> None:
        """An outage of NATS has just ended."""
        self._outage_at = time.monotonic()

    def note_delivery(self, message: Msg) -> None:
        """Called for each event that is delivered to this process."""
        metadata = message.metadata
        if metadata.num_delivered != 1:
            return
        self._delivered_at = time.monotonic()
        self._lag = now() - metadata.timestamp
        written = (message.headers or {}).get(WRITTEN_AT)
        if written and metadata.timestamp - datetime.fromisoformat(written) > _LATE:
            self._backlog_at = self._delivered_at

    async def is_behind(self, id_created_at: datetime | None) -> bool:
        """Whether events may be missing; True also if that cannot be determined.

        For an id created within the last 30 s every unacknowledged event counts. For an older one (None: a
        malformed id) events in flight do not count, but these do: an outage of NATS, a backlog here or at a
        publisher, a consumer that receives nothing, and a start of this process after the id was created.
        """
        if _seconds_since(max(self._outage_at, self._backlog_at)) < _CATCHING_UP:
            return True
        if id_created_at is not None and self._has_just_started_after(id_created_at):
            return True
        consumer = await self._consumer_info()
        if consumer is None:
            return True
        pending, unacknowledged = consumer.num_pending or 0, consumer.num_ack_pending or 0
        if is_young(id_created_at) or not pending + unacknowledged:
            return pending + unacknowledged > 0
        if self._lag > _LATE or (pending and _seconds_since(self._delivered_at) > _IDLE):
            return True
        delivered_at = consumer.delivered.last_active if consumer.delivered else None
        return (
            unacknowledged > 0 and delivered_at is not None and (now() - delivered_at).total_seconds() > _IDLE
        )

    def _has_just_started_after(self, id_created_at: datetime) -> bool:
        # The time in an id is accurate to the second.
        if (
            not self._started_at
            or not timedelta(seconds=1) <= self._started_at - id_created_at < _BEFORE_START
        ):
            return False
        return (now() - self._started_at).total_seconds() < _CATCHING_UP

    async def _consumer_info(self) -> ConsumerInfo | None:
        """The state of the consumer, at most half a second old; None if it cannot be determined."""
        async with self._reading:  # one request at a time
            if _seconds_since(self._read_at) >= _CACHE_SECONDS:
                try:
                    self._consumer = await self._read_consumer()
                except (nats.errors.Error, OSError, TimeoutError):
                    self._consumer = None
                self._read_at = time.monotonic()
            return self._consumer


def is_young(id_created_at: datetime | None) -> bool:
    """Whether an id is so recent that its event may still be in flight."""
    return id_created_at is not None and abs(now() - id_created_at) < _YOUNG


def _seconds_since(moment: float) -> float:
    return time.monotonic() - moment
