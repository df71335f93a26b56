"""Consumes the events of a service: hands each one to its handler until it is handled or becomes a dead
letter.

Each delivery has one of these outcomes, counted by `ticketing_events_handled_total`:
- handled: the handler returned, also for a duplicate. Acknowledged.
- early: an earlier event has not arrived yet. Redelivered soon.
- not due: the event may not take effect yet. Redelivered when it may.
- failed: the handler raised an error. Redelivered with a back-off.
- unknown: only another version of the service consumes the subject. Redelivered.
- removed: no version of the service consumes the subject any more. Acknowledged.
- dead: it does not parse, or was early or failed too often. Stored as a dead letter, then acknowledged.
- store down: MongoDB was unreachable for 15 s, or rejects the change for the moment. Redelivered, to a
  replica that reaches MongoDB; this replica fetches no events until MongoDB answers.

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

from ticketing_common.background import cancel_and_wait, repeat, retry_while_down
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus
from ticketing_common.messaging.consumer import Consumer
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.observability.logs import get_logger
from ticketing_common.observability.metrics import DEAD_LETTERS, EVENT_SECONDS, EVENTS_HANDLED, EVENTS_WAITING
from ticketing_common.observability.tracing import continue_trace
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE
from ticketing_common.values.aggregate import EarlierEventMissing, NotDueYet
from ticketing_common.values.clock import now
from ticketing_common.values.errors import Unavailable
from ticketing_common.values.events import Event

Handler = Callable[[Any, Any], Awaitable[object]]
"""on_<event>(event, repository)"""

Handlers = Mapping[type[Event], Handler]
"""The handler of each event that a service consumes."""

MAX_FAILURES = 15
"""After this number of failures an event becomes a dead letter, about three minutes after the first one."""

_UNCOUNTED = 5
"""Up to this delivery the number of deliveries counts as the number of failures, which saves a write for an
event that is early by milliseconds. Later failures are counted in MongoDB, because JetStream's number also
includes deliveries to versions that do not consume the subject, to frozen processes, and during outages."""
_MAX_CONCURRENT = 16
_BATCH = 8
_BACKLOG = 128
"""From this number of pending events on they are fetched in batches. An incomplete batch is returned only
after its time-out, so there must be enough for all replicas."""
_PULL_TIMEOUT = 0.25
"""Seconds. Short, because after a restart of NATS a fetch in flight runs to its time-out."""
_UNKNOWN_RATE = 50
"""Redeliveries per second of events with unknown subjects, over all replicas. The server prefers redeliveries
to new messages, so this must stay far below what one replica can handle."""
_EXTEND_EVERY = 1.0
"""Seconds; the consumer's ack_wait is twice that."""
_RETRY_EVERY = 0.5
_STORE_TIMEOUT = 15.0
"""Seconds for which an event is retried while this replica does not reach MongoDB."""
_MEASURE_EVERY = 5.0

T = TypeVar("T")

log = get_logger(__name__)


def redelivery_delay(failures: int) -> float:
    """Seconds until an event is redelivered after this number of failures: 50 ms, doubling, at most 30 s."""
    return float(min(0.05 * 2 ** (min(failures, 20) - 1), 30.0))


class _Outcome(NamedTuple):
    name: str
    redeliver_after: float | None = None
    """Seconds; None: the event is acknowledged."""


class _StoreDown(Exception):
    """MongoDB was unreachable for `_STORE_TIMEOUT`, or rejects the change for the moment."""


class Listener:
    """Hands events to handlers, several concurrently, in no guaranteed order."""

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
        self._being_handled: dict[int, Msg] = {}
        self._unacknowledged = 0
        """Of all replicas, when last measured."""
        self._store_is_down = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping` is set, then finish the events being handled."""
        await self._bus.connect()
        await _when_connected(self._consumer.ensure)
        log.info("listening", subjects=sorted(self._handlers))
        subscription = await _when_connected(self._consumer.subscribe)
        until_cancelled = asyncio.Event()
        jobs = [
            repeat(self._measure, until_cancelled, name="Listener.measure", every=_MEASURE_EVERY),
            repeat(
                self._extend,
                until_cancelled,
                name="Listener.extend",
                every=_EXTEND_EVERY,
                longest_back_off=_EXTEND_EVERY,  # the consumer's ack_wait is twice that
            ),
        ]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            async with asyncio.TaskGroup() as handling:
                await self._consume(subscription, handling, stopping)
        finally:
            await cancel_and_wait(*tasks)

    async def _consume(
        self,
        subscription: JetStreamContext.PullSubscription,
        handling: asyncio.TaskGroup,
        stopping: asyncio.Event,
    ) -> None:
        free = asyncio.Semaphore(_MAX_CONCURRENT)
        batch = 1
        while not stopping.is_set():
            if self._store_is_down:  # fetching would delay every event by _STORE_TIMEOUT
                await self._wait_for_store()
                continue
            for _ in range(batch):
                await free.acquire()
            messages = await self._fetch(subscription, batch)
            for message in messages:
                handling.create_task(self._deliver(message)).add_done_callback(lambda _: free.release())
            for _ in range(batch - len(messages)):
                free.release()
            # A batch of one is returned at once.
            batch = _BATCH if messages and messages[-1].metadata.num_pending >= _BACKLOG else 1

    async def _wait_for_store(self) -> None:
        try:
            await self._dead_letters.count()
            self._store_is_down = False
        except MONGO_UNAVAILABLE:
            await asyncio.sleep(_RETRY_EVERY)

    async def _measure(self) -> None:
        """Keep our subjects in the consumer's filter, and the gauges current."""
        with contextlib.suppress(*MONGO_UNAVAILABLE):
            await self._dead_letters.count()
        with contextlib.suppress(*NATS_UNAVAILABLE):
            consumer = await self._consumer.ensure()
            self._unacknowledged = consumer.num_ack_pending or 0
            EVENTS_WAITING.set((consumer.num_pending or 0) + self._unacknowledged)
            await self._bus.measure_stream()

    async def _extend(self) -> None:
        """Prevent redelivery of the messages being handled, however long that takes."""
        for message in list(self._being_handled.values()):
            with contextlib.suppress(*NATS_UNAVAILABLE):
                await message.in_progress()

    async def _fetch(self, subscription: JetStreamContext.PullSubscription, batch: int) -> list[Msg]:
        try:
            return await subscription.fetch(batch, timeout=_PULL_TIMEOUT)
        except TimeoutError:
            return []
        except NATS_UNAVAILABLE as error:
            log.debug("fetch failed", reason=repr(error))
            await asyncio.sleep(_RETRY_EVERY)
            with contextlib.suppress(*NATS_UNAVAILABLE):  # the server may have lost both
                await self._bus.ensure_stream()
                await self._consumer.ensure()
            return []

    async def _deliver(self, message: Msg) -> None:
        """Handle one message. An error of a handler does not stop the others."""
        structlog.contextvars.clear_contextvars()
        continue_trace((message.headers or {}).get("traceparent"))
        self._bus.progress.note_delivery(message)
        self._being_handled[id(message)] = message
        try:
            with EVENT_SECONDS.labels(message.subject).time():
                outcome = await self._outcome(message)
        except _StoreDown:
            self._store_is_down = True
            outcome = _Outcome("store down", _randomised(1.0))
        finally:
            del self._being_handled[id(message)]
        EVENTS_HANDLED.labels(message.subject, outcome.name).inc()
        try:
            if outcome.redeliver_after is None:
                await message.ack()
            else:
                await message.nak(delay=outcome.redeliver_after)
        except NATS_UNAVAILABLE as error:
            log.debug("not acknowledged, will be redelivered", reason=repr(error))

    async def _outcome(self, message: Msg) -> _Outcome:
        if message.subject not in self._handlers:
            return await self._leave_to_another_version(message)
        kind, handler = self._handlers[message.subject]
        try:
            event = kind.model_validate_json(message.data)
        except ValidationError as error:
            return await self._store_dead_letter(message, "does not parse", str(error))
        try:
            await _until_stored(lambda: handler(event, self._repository), message)
        except NotDueYet as error:
            return _Outcome("not due", max((error.due_at - now()).total_seconds(), 0.0))
        except _StoreDown:
            raise
        except Unavailable as error:
            raise _StoreDown from error
        except EarlierEventMissing as error:
            return await self._redeliver(message, "early", "an earlier event never arrived", str(error))
        except Exception as error:
            log.exception(
                "handler failed", subject=message.subject, deliveries=message.metadata.num_delivered
            )
            return await self._redeliver(message, "failed", "its handler failed", repr(error))
        return _Outcome("handled")

    async def _leave_to_another_version(self, message: Msg) -> _Outcome:
        try:
            if await self._consumer.is_removed(message.subject):
                return _Outcome("removed")
        except NATS_UNAVAILABLE as error:
            log.debug("filter not read", reason=repr(error))
        back_off = min(redelivery_delay(message.metadata.num_delivered), 1.0)
        return _Outcome("unknown", _randomised(max(back_off, self._unacknowledged / _UNKNOWN_RATE)))

    async def _redeliver(self, message: Msg, outcome: str, reason: str, detail: str) -> _Outcome:
        """Have an early or failed message redelivered, or make it a dead letter after MAX_FAILURES."""
        failures = message.metadata.num_delivered
        if failures > _UNCOUNTED:
            counted = await _until_stored(lambda: self._dead_letters.count_failure(message), message)
            failures = _UNCOUNTED + counted
        if failures >= MAX_FAILURES:
            return await self._store_dead_letter(message, reason, detail)
        return _Outcome(outcome, redelivery_delay(failures))

    async def _store_dead_letter(self, message: Msg, reason: str, detail: str) -> _Outcome:
        await _until_stored(lambda: self._dead_letters.store(message, reason, detail), message)
        log.error("dead letter stored", subject=message.subject, reason=reason, detail=detail)
        DEAD_LETTERS.labels(message.subject, reason).inc()
        return _Outcome("dead")


def _randomised(seconds: float) -> float:
    """Varies a delay, else the same replica would get the message each time, as they fetch in turns."""
    return seconds * random.uniform(0.5, 1.5)


async def _until_stored(call: Callable[[], Awaitable[T]], message: Msg) -> T:
    """Repeat a call while MongoDB is unavailable. Raises _StoreDown after 15 s."""
    started = time.monotonic()
    while True:
        try:
            return await call()
        except MONGO_UNAVAILABLE as error:
            log.warning(
                "mongodb is unavailable, retrying the event", subject=message.subject, reason=repr(error)
            )
            if time.monotonic() - started > _STORE_TIMEOUT:
                raise _StoreDown from error
            await asyncio.sleep(_RETRY_EVERY)


async def _when_connected(call: Callable[[], Awaitable[T]]) -> T:
    return await retry_while_down(call, NATS_UNAVAILABLE, waiting_for="jetstream", every=_RETRY_EVERY)
