"""Reading the stream in order from a position, for those who want to see all of it.

A service's durable consumer hands each event to one of its replicas, once. A reader here keeps its own place
instead, so any number of replicas see every event. Its consumer on the server is good for one connection: a
server that was restarted has forgotten it, and what a broken connection was carrying is lost. So whenever
anything goes wrong, a new consumer reads on behind the last message that was given out.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.client import JetStreamContext

from ticketing_common.jetstream import DOWN, STREAM, Bus
from ticketing_common.logs import get_logger

_BATCH = 256
_IDLE = 0.5
"""Seconds until an idle reader asks anew; as long may it take to see that the server was restarted."""
_ANSWERS_WITHIN = 2.0
_RETRY = 0.25
_POSITION = re.compile(r"([0-9a-f]{1,12})-([0-9]{1,18})")

log = get_logger(__name__)


class Position(NamedTuple):
    """A place in the stream, the same for every reader; later ones are greater, in a stream made anew too."""

    made: int
    """When the stream was made, in milliseconds. One that was lost and made anew counts from 1 again."""
    sequence: int

    def __str__(self) -> str:
        return f"{self.made:x}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """None for what is no position."""
        match = _POSITION.fullmatch(text)
        return cls(int(match[1], 16), int(match[2])) if match else None

    @classmethod
    def of(cls, stream: StreamInfo, sequence: int) -> "Position":
        assert stream.created is not None
        return cls(int(stream.created.timestamp() * 1000), sequence)


class Stored(NamedTuple):
    """A message, and where in the stream it is."""

    position: Position
    subject: str
    data: bytes
    at: datetime


async def read(bus: Bus, subjects: Sequence[str], after: Position, limit: int) -> list[Stored]:
    """At most `limit` messages behind the position; none when there are none now. Raises one of DOWN."""
    if Position.of(await bus.stream(), after.sequence) != after:
        return []  # of a stream that is lost
    async with _consumer(bus, subjects, after) as (subscription, waiting):
        messages = await subscription.fetch(min(waiting, limit), _ANSWERS_WITHIN) if waiting else []
        return [_stored(message, after.made) for message in messages]


async def tail(
    bus: Bus, subjects: Sequence[str], after: Position
) -> AsyncIterator[tuple[Position, list[Stored]]]:
    """Every message behind the position, in order, for ever, each with the position that is reached by it.

    An outage is waited out. What comes after it is preceded by a position without messages, which tells of a
    stream that was lost and made anew, or that has lost its end: there it is smaller than the one before.
    """
    while True:
        try:
            after = _within(await bus.stream(), after)
            reconnects = bus.reconnects
            async with _consumer(bus, subjects, after) as (subscription, _):
                yield after, []
                wanted = 1
                while True:
                    messages = await _fetch(subscription, wanted)
                    if bus.reconnects != reconnects:
                        break
                    wanted = 1
                    if messages:
                        # A batch answers at once where as many are known to be there, and one alone always.
                        wanted = min(max(messages[-1].metadata.num_pending, 1), _BATCH)
                        stored = [_stored(message, after.made) for message in messages]
                        after = stored[-1].position
                        yield after, stored
        except DOWN as error:
            log.debug("reading failed, trying again", reason=repr(error))
            await asyncio.sleep(_RETRY)


def _within(stream: StreamInfo, after: Position) -> Position:
    """Where to read on: a stream made anew is read from its start, one that has lost its end from there."""
    start = Position.of(stream, 0)
    if start.made != after.made:
        return start
    return after._replace(sequence=min(after.sequence, stream.state.last_seq))


@asynccontextmanager
async def _consumer(
    bus: Bus, subjects: Sequence[str], after: Position
) -> AsyncIterator[tuple[JetStreamContext.PullSubscription, int]]:
    """A consumer for as long as it is used, and how many messages wait for it."""
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after.sequence + 1,
        filter_subjects=list(subjects),
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=30,  # seconds, when we could not remove it ourselves
    )
    stream = str(STREAM.name)
    consumer = await bus.js.add_consumer(stream, config, timeout=_ANSWERS_WITHIN)
    subscription = await bus.js.pull_subscribe_bind(consumer=consumer.name, stream=stream)
    try:
        yield subscription, consumer.num_pending or 0
    finally:
        with contextlib.suppress(*DOWN):
            async with asyncio.timeout(_ANSWERS_WITHIN):
                await subscription.unsubscribe()
                await bus.js.delete_consumer(stream, consumer.name)


async def _fetch(subscription: JetStreamContext.PullSubscription, wanted: int) -> list[Msg]:
    try:
        return await subscription.fetch(wanted, _IDLE)
    except nats.errors.TimeoutError:
        return []


def _stored(message: Msg, made: int) -> Stored:
    metadata = message.metadata
    position = Position(made, metadata.sequence.stream)
    return Stored(position, message.subject, message.data, metadata.timestamp)
