"""Listening: one durable pull consumer a service, each event handled until it is done or given up.

An event ends in one of these ways, counted by `ticketing_events_handled_total`:
- handled: its handler returned, a duplicate included; acknowledged.
- early: one before it is still under way; put back, and it comes again soon.
- failed: its handler raised; put back with a growing delay.
- dead: it does not parse, or was put back too often; kept as a dead letter, then acknowledged.
While a store is down nothing is put back, for that would use up deliveries: the event is held and retried.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.client import JetStreamContext
from pydantic import ValidationError

from ticketing_common import mongo
from ticketing_common.aggregate import EarlierEventUnderWay
from ticketing_common.dead_letters import DeadLetters
from ticketing_common.events import Event
from ticketing_common.jetstream import DOWN, STREAM, Bus
from ticketing_common.logs import get_logger
from ticketing_common.metrics import DEAD_LETTERS, EVENT_SECONDS, EVENTS_HANDLED, EVENTS_WAITING
from ticketing_common.tracing import continue_trace

Handler = Callable[[Any, Any], Awaitable[object]]
"""on_<event>(event, repository)"""

Handlers = Mapping[type[Event], Handler]
"""A service's table: which handler takes which event."""

MAX_DELIVERIES = 15
"""After that many an event is dead. With the delays below that is about three minutes."""

_AT_ONCE = 16
_ACK_WAIT = 2.0
"""Seconds. What a killed process had in hand comes again after that; what takes longer comes twice."""
_PULL_TIMEOUT = 0.25
_STORE_RETRY = 0.5
_MEASURE_EVERY = 5.0

log = get_logger(__name__)


def put_back_delay(deliveries: int) -> float:
    """Seconds until an event that was delivered this often comes again: 50 ms, doubling, at most 30 s."""
    return float(min(0.05 * 2 ** (deliveries - 1), 30.0))


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
        self._service = service
        self._handlers = {kind.subject: (kind, handler) for kind, handler in handlers.items()}
        self._repository = repository
        self._dead_letters = dead_letters

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until told to stop; what is in hand then is finished first."""
        await self._bus.connect()
        await self._ensure_consumer()
        log.info("listening", subjects=sorted(self._handlers))
        subscription = await self._subscribe()
        free = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as handling:
            measuring = handling.create_task(self._measure())
            while not stopping.is_set():
                await free.acquire()
                message = await self._next(subscription)
                if message is None:
                    free.release()
                else:
                    handling.create_task(self._deliver(message)).add_done_callback(lambda _: free.release())
            measuring.cancel()

    async def _measure(self) -> None:
        """Keep the gauges of what waits true, whichever replica or command takes it away."""
        while True:
            with contextlib.suppress(*mongo.DOWN):
                await self._dead_letters.count()
            with contextlib.suppress(*DOWN):
                EVENTS_WAITING.set(await self._bus.waiting(self._service))
            await asyncio.sleep(_MEASURE_EVERY)

    async def _ensure_consumer(self) -> None:
        config = ConsumerConfig(
            durable_name=self._service,
            filter_subjects=sorted(self._handlers),
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT,
            max_deliver=-1,  # we count, so that nothing is left silently
            max_ack_pending=1_000,
        )
        while True:
            try:
                await self._bus.js.add_consumer(str(STREAM.name), config)
                return
            except DOWN as error:
                log.warning("waiting for jetstream", reason=repr(error))
                await asyncio.sleep(_STORE_RETRY)

    async def _next(self, subscription: JetStreamContext.PullSubscription) -> Msg | None:
        try:
            # fetch(1) answers at once, where a larger batch waits for its time-out unless it is full.
            # After NATS was restarted a fetch under way runs to its time-out, so that is short.
            (message,) = await subscription.fetch(1, timeout=_PULL_TIMEOUT)
            return message
        except nats.errors.TimeoutError:
            return None
        except DOWN as error:
            log.debug("fetch failed", reason=repr(error))
            await asyncio.sleep(_STORE_RETRY)
            await self._restore()
            return None

    async def _subscribe(self) -> JetStreamContext.PullSubscription:
        while True:
            try:
                return await self._bus.js.pull_subscribe_bind(durable=self._service, stream=STREAM.name)
            except DOWN as error:
                log.debug("subscribe failed", reason=repr(error))
                await asyncio.sleep(_STORE_RETRY)

    async def _restore(self) -> None:
        """Give a server that lost its store the stream and our consumer again."""
        try:
            await self._bus.ensure_stream()
        except DOWN:
            return
        await self._ensure_consumer()

    async def _deliver(self, message: Msg) -> None:
        """Bring one message to its end; never raises, so one message cannot stop the others."""
        structlog.contextvars.clear_contextvars()
        continue_trace((message.headers or {}).get("traceparent"))
        self._bus.progress.note_delivery(message)
        deliveries = message.metadata.num_delivered
        with EVENT_SECONDS.labels(message.subject).time():
            outcome = await self._outcome(message, deliveries)
        EVENTS_HANDLED.labels(message.subject, outcome).inc()
        try:
            if outcome in ("handled", "dead"):
                await message.ack()
            else:
                await message.nak(delay=put_back_delay(deliveries))
        except DOWN as error:
            log.debug("not acknowledged, it comes again", reason=repr(error))

    async def _outcome(self, message: Msg, deliveries: int) -> str:
        kind, handler = self._handlers[message.subject]
        try:
            event = kind.model_validate_json(message.data)
        except ValidationError as error:
            return await self._bury(message, "does not parse", str(error))
        while True:
            try:
                await handler(event, self._repository)
                return "handled"
            except mongo.DOWN as error:
                log.warning(
                    "the store is down, holding the event", subject=message.subject, reason=repr(error)
                )
                await self._hold(message)
            except EarlierEventUnderWay as early:
                if deliveries >= MAX_DELIVERIES:
                    return await self._bury(message, "the event before it never came", str(early))
                return "early"
            except Exception as error:
                log.exception("handler failed", subject=message.subject, deliveries=deliveries)
                if deliveries >= MAX_DELIVERIES:
                    return await self._bury(message, "its handler failed", repr(error))
                return "failed"

    async def _bury(self, message: Msg, reason: str, detail: str) -> str:
        while True:
            try:
                await self._dead_letters.keep(message, reason, detail)
                break
            except mongo.DOWN:
                await self._hold(message)
        log.error("dead letter kept", subject=message.subject, reason=reason, detail=detail)
        DEAD_LETTERS.labels(message.subject, reason).inc()
        return "dead"

    async def _hold(self, message: Msg) -> None:
        """Keep a message ours a little longer, without using up a delivery."""
        with contextlib.suppress(*DOWN):
            await message.in_progress()
        await asyncio.sleep(_STORE_RETRY)
