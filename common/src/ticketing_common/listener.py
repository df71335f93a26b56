"""Consumes the events that a service follows and hands each to its handler, until it is done or given up.

Each delivery ends in one of these ways, counted by `ticketing_events_handled_total`:
- handled: its handler returned, also for a duplicate; acknowledged.
- early: the event before it is still under way; put back, and redelivered soon.
- not due: it may not take effect yet; put back until then.
- failed: its handler raised; put back with a growing delay.
- unknown: only another version of the service follows its subject; put back.
- removed: no version of the service follows its subject any more; acknowledged.
- dead: it does not parse, or was early or failed too often; kept as a dead letter, then acknowledged.
- store down: MongoDB was out of reach for 15 s, or refuses the change for the moment; put back, for a
  replica that reaches it. This one fetches no more until MongoDB answers it.
Only early and failed count towards the dead letter.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import structlog
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext
from pydantic import ValidationError

from ticketing_common import mongo
from ticketing_common.aggregate import EarlierEventUnderWay, NotDueYet
from ticketing_common.clock import now
from ticketing_common.consumer import Consumer
from ticketing_common.dead_letters import DeadLetters
from ticketing_common.errors import Unavailable
from ticketing_common.events import Event
from ticketing_common.jetstream import DOWN, Bus
from ticketing_common.logs import get_logger
from ticketing_common.metrics import DEAD_LETTERS, EVENT_SECONDS, EVENTS_HANDLED, EVENTS_WAITING
from ticketing_common.tasks import cancel_and_wait
from ticketing_common.tracing import continue_trace

Handler = Callable[[Any, Any], Awaitable[object]]
"""on_<event>(event, repository)"""

Handlers = Mapping[type[Event], Handler]
"""A service's table: which handler takes which event."""

MAX_FAILURES = 15
"""After that many an event is dead. With the delays below that is about three minutes."""

_UNCOUNTED = 5
"""Up to this delivery each one counts as a failure, which saves the write for an event that is early by
milliseconds. From then on failures are counted in MongoDB: JetStream's number also grows by deliveries to
versions that do not follow the subject, by frozen processes and by outages."""
_AT_ONCE = 16
_BATCH = 8
_BACKLOG = 128
"""From this number of waiting events on they are fetched in batches. An incomplete batch is returned only
after its time-out, so there must be enough for all replicas."""
_PULL_TIMEOUT = 0.25
"""Seconds. After a restart of NATS a fetch under way runs to its time-out, so that is short."""
_UNKNOWN_RATE = 50
"""Redeliveries a second of events of unknown subjects, at all replicas together. The server prefers
redeliveries to new messages, so this must stay far below what one replica can take."""
_EXTEND_EVERY = 1.0
"""Seconds; the consumer's ack_wait is twice that."""
_STORE_RETRY = 0.5
_HELD = 15.0
"""Seconds for which an event is held and retried while MongoDB is out of this replica's reach."""
_MEASURE_EVERY = 5.0

T = TypeVar("T")

log = get_logger(__name__)


def put_back_delay(failures: int) -> float:
    """Seconds until an event is redelivered after that many failures: 50 ms, doubling, at most 30 s."""
    return float(min(0.05 * 2 ** (min(failures, 20) - 1), 30.0))


class _Outcome(NamedTuple):
    name: str
    redeliver_after: float | None = None
    """Seconds; None: it is acknowledged."""


class _StoreDown(Exception):
    """MongoDB was out of reach for as long as an event is held, or the change is refused for the moment."""


class Listener:
    """Hands the events that a service follows to its handlers, several at once, in no promised order."""

    def __init__(
        self,
        bus: Bus,
        service: str,
        handlers: Handlers,
        repository: object,
        dead_letters: DeadLetters,
    ) -> None:
        self._bus = bus
        self._handlers = {kind.subject: (kind, handler) for kind, handler in handlers.items()}
        self._consumer = Consumer(bus, service, self._handlers)
        self._repository = repository
        self._dead_letters = dead_letters
        self._in_hand: dict[int, Msg] = {}
        self._unacknowledged = 0
        """The messages that all replicas have in hand or put back, when last measured."""
        self._store_is_down = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until told to stop; what is in hand then is finished first."""
        await self._bus.connect()
        await _until_connected(self._consumer.ensure)
        log.info("listening", subjects=sorted(self._handlers))
        subscription = await _until_connected(self._consumer.subscribe)
        async with asyncio.TaskGroup() as beside:
            jobs = [beside.create_task(job()) for job in (self._measure, self._extend)]
            try:
                async with asyncio.TaskGroup() as handling:
                    await self._consume(subscription, handling, stopping)
            finally:
                await cancel_and_wait(*jobs)

    async def _consume(
        self,
        subscription: JetStreamContext.PullSubscription,
        handling: asyncio.TaskGroup,
        stopping: asyncio.Event,
    ) -> None:
        free = asyncio.Semaphore(_AT_ONCE)
        wanted = 1
        while not stopping.is_set():
            if self._store_is_down:  # else this replica would delay every event by the time that it holds one
                await self._look_for_store()
                continue
            for _ in range(wanted):
                await free.acquire()
            messages = await self._fetch(subscription, wanted)
            for message in messages:
                handling.create_task(self._deliver(message)).add_done_callback(lambda _: free.release())
            for _ in range(wanted - len(messages)):
                free.release()
            # One message is returned at once.
            wanted = _BATCH if messages and messages[-1].metadata.num_pending >= _BACKLOG else 1

    async def _look_for_store(self) -> None:
        try:
            await self._dead_letters.count()
            self._store_is_down = False
        except mongo.DOWN:
            await asyncio.sleep(_STORE_RETRY)

    async def _measure(self) -> None:
        """Keeps the consumer's filter complete, and the gauges current whatever replicas and commands do."""
        while True:
            with contextlib.suppress(*mongo.DOWN):
                await self._dead_letters.count()
            with contextlib.suppress(*DOWN):
                consumer = await self._consumer.ensure()
                self._unacknowledged = consumer.num_ack_pending or 0
                EVENTS_WAITING.set((consumer.num_pending or 0) + self._unacknowledged)
                await self._bus.measure_stream()
            await asyncio.sleep(_MEASURE_EVERY)

    async def _extend(self) -> None:
        """Prevents redelivery of the messages in hand, however long a handler takes or a store is down."""
        while True:
            await asyncio.sleep(_EXTEND_EVERY)
            for message in list(self._in_hand.values()):
                with contextlib.suppress(*DOWN):
                    await message.in_progress()

    async def _fetch(self, subscription: JetStreamContext.PullSubscription, wanted: int) -> list[Msg]:
        try:
            return await subscription.fetch(wanted, timeout=_PULL_TIMEOUT)
        except TimeoutError:
            return []
        except DOWN as error:
            log.debug("fetch failed", reason=repr(error))
            await asyncio.sleep(_STORE_RETRY)
            with contextlib.suppress(*DOWN):  # a server that lost its store is given both again
                await self._bus.ensure_stream()
                await self._consumer.ensure()
            return []

    async def _deliver(self, message: Msg) -> None:
        """Bring one message to its end; never raises, so one message cannot stop the others."""
        structlog.contextvars.clear_contextvars()
        continue_trace((message.headers or {}).get("traceparent"))
        self._bus.progress.note_delivery(message)
        self._in_hand[id(message)] = message
        try:
            with EVENT_SECONDS.labels(message.subject).time():
                outcome = await self._outcome(message)
        except _StoreDown:
            self._store_is_down = True
            outcome = _Outcome("store down", _at_random(1.0))
        finally:
            del self._in_hand[id(message)]
        EVENTS_HANDLED.labels(message.subject, outcome.name).inc()
        try:
            if outcome.redeliver_after is None:
                await message.ack()
            else:
                await message.nak(delay=outcome.redeliver_after)
        except DOWN as error:
            log.debug("not acknowledged, it is redelivered", reason=repr(error))

    async def _outcome(self, message: Msg) -> _Outcome:
        if message.subject not in self._handlers:
            return await self._leave_to_another_version(message)
        kind, handler = self._handlers[message.subject]
        try:
            event = kind.model_validate_json(message.data)
        except ValidationError as error:
            return await self._bury(message, "does not parse", str(error))
        try:
            await _until_stored(lambda: handler(event, self._repository), message)
        except NotDueYet as early:
            return _Outcome("not due", max((early.due_at - now()).total_seconds(), 0.0))
        except _StoreDown:
            raise
        except Unavailable as refused:
            raise _StoreDown from refused
        except EarlierEventUnderWay as early:
            return await self._put_back(message, "early", "the event before it never came", str(early))
        except Exception as error:
            log.exception(
                "handler failed", subject=message.subject, deliveries=message.metadata.num_delivered
            )
            return await self._put_back(message, "failed", "its handler failed", repr(error))
        return _Outcome("handled")

    async def _leave_to_another_version(self, message: Msg) -> _Outcome:
        try:
            if await self._consumer.is_removed(message.subject):
                return _Outcome("removed")
        except DOWN as error:
            log.debug("filter not read", reason=repr(error))
        growing = min(put_back_delay(message.metadata.num_delivered), 1.0)
        return _Outcome("unknown", _at_random(max(growing, self._unacknowledged / _UNKNOWN_RATE)))

    async def _put_back(self, message: Msg, outcome: str, reason: str, detail: str) -> _Outcome:
        """Put back what was early or failed, or bury it after MAX_FAILURES."""
        failures = message.metadata.num_delivered
        if failures > _UNCOUNTED:
            counted = await _until_stored(lambda: self._dead_letters.count_failure(message), message)
            failures = _UNCOUNTED + counted
        if failures >= MAX_FAILURES:
            return await self._bury(message, reason, detail)
        return _Outcome(outcome, put_back_delay(failures))

    async def _bury(self, message: Msg, reason: str, detail: str) -> _Outcome:
        await _until_stored(lambda: self._dead_letters.keep(message, reason, detail), message)
        log.error("dead letter kept", subject=message.subject, reason=reason, detail=detail)
        DEAD_LETTERS.labels(message.subject, reason).inc()
        return _Outcome("dead")


def _at_random(seconds: float) -> float:
    """Around that. Replicas ask for messages in regular turns, so the same one would get it each time."""
    return seconds * random.uniform(0.5, 1.5)


async def _until_stored(call: Callable[[], Awaitable[T]], message: Msg) -> T:
    """Repeat a call while MongoDB is down, and the message stays in hand. Raises _StoreDown after 15 s."""
    begun = time.monotonic()
    while True:
        try:
            return await call()
        except mongo.DOWN as error:
            log.warning("the store is down, holding the event", subject=message.subject, reason=repr(error))
            if time.monotonic() - begun > _HELD:
                raise _StoreDown from error
            await asyncio.sleep(_STORE_RETRY)


async def _until_connected(call: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await call()
        except DOWN as error:
            log.warning("waiting for jetstream", reason=repr(error))
            await asyncio.sleep(_STORE_RETRY)
