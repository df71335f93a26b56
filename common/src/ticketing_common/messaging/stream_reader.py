"""Reads the stream in order from a position, independently of the durable consumers of the services."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.client import JetStreamContext

from ticketing_common.messaging.bus import NATS_UNAVAILABLE, STREAM, Bus

_REQUEST_TIMEOUT = 2.0
"""Seconds."""
_POSITION = re.compile(r"([0-9a-f]{1,12})-([0-9]{1,18})")


class Position(NamedTuple):
    """A position in the stream. Later ones compare greater, also in a stream that was created again."""

    stream_created_ms: int
    """When the stream was created, in milliseconds. A stream that is created again starts with number 1."""
    sequence: int

    def __str__(self) -> str:
        return f"{self.stream_created_ms:x}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """None if the text is malformed."""
        match = _POSITION.fullmatch(text)
        return cls(int(match[1], 16), int(match[2])) if match else None

    @classmethod
    def of(cls, stream: StreamInfo, sequence: int) -> "Position":
        assert stream.created is not None
        return cls(int(stream.created.timestamp() * 1000), sequence)


class StoredMessage(NamedTuple):
    """A message and its position in the stream."""

    position: Position
    subject: str
    data: bytes
    at: datetime
    """When the stream stored it."""


async def read_messages(
    bus: Bus, subjects: Sequence[str], after: Position, limit: int
) -> list[StoredMessage]:
    """At most `limit` messages behind the position. Raises one of NATS_UNAVAILABLE."""
    if Position.of(await bus.stream_info(), after.sequence) != after:
        return []  # a position in a stream that is lost
    async with open_reader(bus, subjects, after) as (subscription, pending):
        messages = await subscription.fetch(min(pending, limit), _REQUEST_TIMEOUT) if pending else []
        return [stored_message(message, after.stream_created_ms) for message in messages]


@asynccontextmanager
async def open_reader(
    bus: Bus, subjects: Sequence[str], after: Position
) -> AsyncIterator[tuple[JetStreamContext.PullSubscription, int]]:
    """An ephemeral consumer for the block, and the number of messages pending for it."""
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after.sequence + 1,
        filter_subjects=list(subjects),
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=30,  # seconds until the server removes it if we could not
    )
    stream = str(STREAM.name)
    consumer = await bus.js.add_consumer(stream, config, timeout=_REQUEST_TIMEOUT)
    subscription = await bus.js.pull_subscribe_bind(consumer=consumer.name, stream=stream)
    try:
        yield subscription, consumer.num_pending or 0
    finally:
        with contextlib.suppress(*NATS_UNAVAILABLE):
            async with asyncio.timeout(_REQUEST_TIMEOUT):
                await subscription.unsubscribe()
                await bus.js.delete_consumer(stream, consumer.name)


def stored_message(message: Msg, stream_created_ms: int) -> StoredMessage:
    metadata = message.metadata
    position = Position(stream_created_ms, metadata.sequence.stream)
    return StoredMessage(position, message.subject, message.data, metadata.timestamp)
