"""Whether a service has caught up with the events it follows, so that an id it does not have is unknown."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import ConsumerInfo

from ticketing_common.clock import now

WRITTEN_AT = "Written-At"
"""The header with the time at which an event was written into its publisher's outbox, in ISO 8601."""

_CACHED = 0.5
"""Seconds for which the consumer's state is not asked for again, however many requests need it."""
_CATCHING_UP = 15.0
"""Seconds that publishers may need after an outage to publish what they wrote meanwhile: they notice it some
seconds later than this service, a publication under way is given up after 5 s, and a lease ends after 6 s."""
_YOUNG = timedelta(seconds=30)
_BEFORE_START = timedelta(hours=1)
"""An id made so long before the start may belong to a backlog of an outage that this process has not seen."""
_LATE = timedelta(seconds=5)
"""An event this old when it is stored, or delivered, belongs to a backlog."""
_IDLE = 2.0
"""Seconds without a delivery after which events that are not acknowledged yet are not just in flight."""


class Progress:
    """Judges from the consumer's state, the latest deliveries and reconnections whether events are missing.

    `ask` returns the consumer's state, or raises an error if NATS or JetStream does not answer or there is no
    such consumer.
    """

    def __init__(self, ask: Callable[[], Awaitable[ConsumerInfo]]) -> None:
        self._ask = ask
        self._asking = asyncio.Lock()
        self._asked_at = self._outage_at = self._backlog_at = self._delivered_at = float("-inf")
        self._consumer: ConsumerInfo | None = None
        self._lag = timedelta()
        self._started_at: datetime | None = None

    def note_start(self) -> None:
        """This process has connected for the first time. What was before, it does not know."""
        self._started_at = now()

    def note_outage(self) -> None:
        """NATS was out of reach until now."""
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

    async def is_behind(self, made_at: datetime | None) -> bool:
        """Whether events that this service follows may be missing; in doubt, yes.

        For an id `made_at` within the last 30 s any event that is not acknowledged yet counts. For an older
        one (None: nobody made it) events in flight do not; what counts is an outage of NATS, a backlog here
        or at a publisher, a standstill, and a start of this process after the id was made.
        """
        if _seconds_since(max(self._outage_at, self._backlog_at)) < _CATCHING_UP:
            return True
        if made_at is not None and self._has_just_started_after(made_at):
            return True
        consumer = await self._state()
        if consumer is None:
            return True
        pending, in_hand = consumer.num_pending or 0, consumer.num_ack_pending or 0
        if is_young(made_at) or not pending + in_hand:
            return pending + in_hand > 0
        if self._lag > _LATE or (pending and _seconds_since(self._delivered_at) > _IDLE):
            return True
        delivered_at = consumer.delivered.last_active if consumer.delivered else None
        return in_hand > 0 and delivered_at is not None and (now() - delivered_at).total_seconds() > _IDLE

    def _has_just_started_after(self, made_at: datetime) -> bool:
        # An id tells its time to the second.
        if not self._started_at or not timedelta(seconds=1) <= self._started_at - made_at < _BEFORE_START:
            return False
        return (now() - self._started_at).total_seconds() < _CATCHING_UP

    async def _state(self) -> ConsumerInfo | None:
        """The consumer's state, at most half a second old; None if it cannot be determined."""
        async with self._asking:  # by one request at a time
            if _seconds_since(self._asked_at) >= _CACHED:
                try:
                    self._consumer = await self._ask()
                except (nats.errors.Error, OSError, TimeoutError):
                    self._consumer = None
                self._asked_at = time.monotonic()
            return self._consumer


def is_young(made_at: datetime | None) -> bool:
    """Whether an id was made so recently that its event may still be in flight."""
    return made_at is not None and abs(now() - made_at) < _YOUNG


def _seconds_since(moment: float) -> float:
    return time.monotonic() - moment
