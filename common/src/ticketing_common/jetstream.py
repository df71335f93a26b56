"""The connection to NATS JetStream: the one stream, and publishing to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import (
    ConsumerConfig,
    ConsumerInfo,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError, BadRequestError, NoStreamResponseError, NotFoundError

from ticketing_common.events import Event
from ticketing_common.logs import get_logger
from ticketing_common.metrics import STREAM_BYTES, STREAM_LIMIT_BYTES
from ticketing_common.progress import WRITTEN_AT, Progress
from ticketing_common.tracing import traceparent

STREAM = StreamConfig(
    name="TICKETING",
    subjects=["ticket.*", "order.*", "payment.*", "expiration.*"],
    storage=StorageType.FILE,
    retention=RetentionPolicy.LIMITS,
    max_age=7 * 24 * 3600,  # seconds; with NATS_MAX_BYTES it decides the size, docs/scaling.md
    # A full stream refuses events, which then wait in the outboxes; it deletes none before its age.
    discard=DiscardPolicy.NEW,
    duplicate_window=120,  # seconds; versions drop the duplicates that come later
)

DOWN = (nats.errors.Error, OSError, asyncio.TimeoutError)
"""What nats-py raises when the server is out of reach, does not answer, or refuses, as a full stream does."""

# JetStream's error codes
_STREAM_EXISTS = 10058
_CONSUMER_EXISTS = 10148

_LARGEST_EVENT = 64 * 1024
"""Bytes."""

log = get_logger(__name__)


class ConsumerExists(Exception):
    """There is a durable consumer of this name with other settings."""


class Bus:
    """A connection that may not be there yet, or not just now; nats-py re-makes it for ever."""

    def __init__(self, url: str, name: str, replicas: int = 1, max_bytes: int = -1) -> None:
        self._url = url
        self.name = name
        """The service's, and that of its durable consumer."""
        self._stream = replace(STREAM, num_replicas=replicas, max_bytes=max_bytes)
        self._client = Client()
        self._connecting = asyncio.Lock()
        self._begun = False
        self._is_down = False
        self.progress = Progress(self._consumer)
        self.js = self._client.jetstream()

    async def connect(self) -> None:
        """Connect and make sure of the stream, the first time it is called; waits as long as NATS is down."""
        async with self._connecting:
            if self._begun:  # out of reach or not: a second attempt would be in the way of re-making it
                return None
            await self._client.connect(
                self._url,
                name=self.name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds; only slept on
                connect_timeout=2,
                ping_interval=5,
                max_outstanding_pings=2,
                pending_size=0,  # publishing while disconnected fails at once: the outbox keeps the event
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
            )
            self._begun = True
            self.progress.note_start()
            self._end_outage()
            while True:
                try:
                    return await self.ensure_stream()
                except DOWN as error:
                    log.warning("waiting for jetstream", reason=repr(error))
                    await asyncio.sleep(0.25)

    async def ensure_stream(self) -> None:
        """Create the stream, or give it our settings; subjects that other versions added remain."""
        try:
            stream = await self._stream_config()
        except NotFoundError:
            try:
                await self.js.add_stream(self._stream)
                return
            except BadRequestError as error:
                if error.err_code != _STREAM_EXISTS:  # else another replica created it at the same moment
                    raise
            stream = await self._stream_config()
        ours = frozenset(self._stream.subjects or ())
        while True:
            subjects = sorted(ours.union(stream.subjects or ()))
            try:
                await self.js.update_stream(replace(self._stream, subjects=subjects))
            except APIError as error:  # the servers have less room than max_bytes, for example
                log.warning("the stream keeps its limits", reason=str(error))
                await self.js.update_stream(replace(stream, subjects=subjects))
            stream = await self._stream_config()
            if ours <= frozenset(stream.subjects or ()):  # else another version wrote at the same moment
                return

    async def measure_stream(self) -> None:
        """Set the gauges of the stream's size, and restore what another version or a command has changed.

        Raises one of DOWN.
        """
        info = await self.stream()
        STREAM_BYTES.set(info.state.bytes)
        STREAM_LIMIT_BYTES.set(max(info.config.max_bytes or 0, 0))
        # More replicas than ours are left: while versions with other numbers run, each would write its own.
        fewer = (info.config.num_replicas or 1) < (self._stream.num_replicas or 1)
        if fewer or _limits(info.config) != _limits(self._stream):
            await self.ensure_stream()

    async def _stream_config(self) -> StreamConfig:
        return (await self.js.stream_info(str(STREAM.name))).config

    async def create_consumer(self, config: ConsumerConfig) -> None:
        """Create a durable consumer; `add_consumer` would overwrite one that is there.

        Raises ConsumerExists if there is one with other settings, or one of DOWN.
        """
        stream = str(STREAM.name)
        request = {"stream_name": stream, "config": config.as_dict(), "action": "create"}
        subject = f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{config.durable_name}"
        reply = json.loads(
            (await self._client.request(subject, json.dumps(request).encode(), timeout=2)).data
        )
        if "error" in reply:
            if reply["error"].get("err_code") == _CONSUMER_EXISTS:
                raise ConsumerExists
            APIError.from_error(reply["error"])

    async def stream(self) -> StreamInfo:
        """The stream as it is now; a server that lost it is given it again. Raises one of DOWN."""
        if not self._client.is_connected:
            raise nats.errors.ConnectionClosedError
        async with asyncio.timeout(2):
            try:
                return await self.js.stream_info(str(STREAM.name))
            except NotFoundError:
                await self.ensure_stream()
                return await self.js.stream_info(str(STREAM.name))

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and re-made: what was on its way to us then is lost with it."""
        return self._client.stats["reconnects"]

    async def publish(self, event: Event) -> None:
        """Publish and wait until the server has the event on disk. Raises one of DOWN."""
        await self.publish_raw(event.subject, event.model_dump_json(by_alias=True).encode(), event.event_id)

    async def publish_raw(
        self,
        subject: str,
        data: bytes,
        event_id: str | None = None,
        trace: str | None = None,
        written_at: datetime | None = None,
    ) -> None:
        """As publish, for an event that is already in its wire form. Without an id nothing is a duplicate.

        `written_at` is when its publisher wrote it: long before, if it waited in an outbox.
        """
        # A first request between two attempts to connect would leave nats-py without an inbox for ever.
        if not self._client.is_connected:
            raise nats.errors.ConnectionClosedError
        headers = {"traceparent": trace or traceparent()}
        if event_id is not None:
            headers["Nats-Msg-Id"] = event_id
        if written_at is not None:
            headers[WRITTEN_AT] = written_at.isoformat()
        try:
            await self.js.publish(subject, data, timeout=5, headers=headers)
        except NoStreamResponseError:  # a server that lost its store: give it the stream again
            await self.ensure_stream()
            raise

    async def waiting(self, consumer: str) -> int:
        """How many events wait for this durable consumer, or are in its hands. Raises one of DOWN."""
        info = await self.js.consumer_info(str(STREAM.name), consumer, timeout=2)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def is_behind(self, made_at: datetime | None = None) -> bool:
        """Whether events that this service follows may be missing, for which see `Progress.is_behind`."""
        return self._is_down or not self._client.is_connected or await self.progress.is_behind(made_at)

    async def _consumer(self) -> ConsumerInfo:
        """Our durable consumer's state. Raises one of DOWN, also if the stream has no leader or is full."""
        if _is_full(await self.stream()):
            raise nats.errors.Error("the stream is full, so events wait in the outboxes of their publishers")
        info: ConsumerInfo = await self.js.consumer_info(str(STREAM.name), self.name, timeout=2)
        return info

    async def notify(self, subject: str) -> None:
        """Send an empty message outside the stream, to those connected now. Raises one of DOWN."""
        await self._client.publish(subject)

    async def receive(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
        """Call back for each message outside the stream, also after reconnections. Raises one of DOWN."""
        await self._client.subscribe(subject, cb=callback)

    async def ping(self) -> None:
        """Raises one of DOWN unless JetStream answers now.

        Not by nats-py's `flush`: when that is given up, the server's late answer ends the reading of the
        connection, which then is deaf until it counts as stale.
        """
        await self.stream()

    async def _on_error(self, error: Exception) -> None:
        if not self._begun:
            self._is_down = True
        log.debug("nats error", error=repr(error))

    async def _on_disconnected(self) -> None:
        self._is_down = True
        log.warning("nats disconnected")

    async def _on_reconnected(self) -> None:
        self._end_outage()
        log.info("nats reconnected")

    def _end_outage(self) -> None:
        if self._is_down:
            self.progress.note_outage()
            self._is_down = False

    async def close(self) -> None:
        if not self._client.is_closed:
            await self._client.close()


@asynccontextmanager
async def connected(url: str, name: str, replicas: int = 1, max_bytes: int = -1) -> AsyncIterator[Bus]:
    """A bus for the length of a command."""
    bus = Bus(url, name, replicas, max_bytes)
    await bus.connect()
    try:
        yield bus
    finally:
        await bus.close()


def _limits(config: StreamConfig) -> tuple[int | None, float | None]:
    return config.max_bytes, config.max_age


def _is_full(stream: StreamInfo) -> bool:
    """Whether the stream may refuse the next event."""
    limit = stream.config.max_bytes or 0
    return limit > 0 and stream.state.bytes > limit - min(_LARGEST_EVENT, limit // 20)
