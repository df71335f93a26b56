"""The connection to NATS JetStream: the one stream of all services, and publishing to it."""

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

from ticketing_common.background import retry_while_down
from ticketing_common.config import NatsSettings
from ticketing_common.messaging.progress import WRITTEN_AT, ConsumerProgress
from ticketing_common.observability.logs import get_logger
from ticketing_common.observability.metrics import STREAM_BYTES, STREAM_LIMIT_BYTES
from ticketing_common.observability.tracing import traceparent
from ticketing_common.values.events import Event

STREAM = StreamConfig(
    name="TICKETING",
    subjects=["ticket.*", "order.*", "payment.*", "expiration.*"],
    storage=StorageType.FILE,
    retention=RetentionPolicy.LIMITS,
    max_age=7 * 24 * 3600,  # seconds; with NATS_MAX_BYTES it determines the size: docs/scaling.md
    # A full stream rejects new events, which stay in the outboxes. It deletes no event before its age.
    discard=DiscardPolicy.NEW,
    duplicate_window=120,  # seconds; consumers drop later duplicates by version
)

NATS_UNAVAILABLE = (nats.errors.Error, OSError, asyncio.TimeoutError)
"""What nats-py raises while the server is unreachable, does not answer, or rejects, as a full stream does."""

# JetStream's error codes
_STREAM_EXISTS = 10058
_CONSUMER_EXISTS = 10148

_LARGEST_EVENT = 64 * 1024
"""Bytes."""

log = get_logger(__name__)


class ConsumerExists(Exception):
    """A durable consumer of this name exists with other settings."""


class Bus:
    """A connection to NATS, which nats-py reconnects for ever.

    `name`: of the service, and of its durable consumer.
    """

    def __init__(self, url: str, name: str, replicas: int = 1, max_bytes: int = -1) -> None:
        self._url = url
        self.name = name
        self._stream = replace(STREAM, num_replicas=replicas, max_bytes=max_bytes)
        self._client = Client()
        self._connecting = asyncio.Lock()
        self._is_started = False
        self._is_down = False
        self.progress = ConsumerProgress(self._consumer_info)
        self.js = self._client.jetstream()

    @classmethod
    def from_settings(cls, settings: NatsSettings, name: str) -> "Bus":
        return cls(settings.nats_url, name, settings.nats_replicas, settings.nats_max_bytes)

    async def connect(self) -> None:
        """Connect and create the stream on the first call. Waits while NATS is down."""
        async with self._connecting:
            if self._is_started:  # also during an outage: a second attempt would block reconnecting
                return
            await self._client.connect(
                self._url,
                name=self.name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds; only slept on
                connect_timeout=2,
                ping_interval=5,
                max_outstanding_pings=2,
                pending_size=0,  # publishing while disconnected fails at once: the event stays in the outbox
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
            )
            self._is_started = True
            self.progress.note_start()
            self._end_outage()
            await retry_while_down(self.ensure_stream, NATS_UNAVAILABLE, waiting_for="jetstream")

    async def ensure_stream(self) -> None:
        """Create the stream, or apply our settings to it. Subjects that other versions added stay."""
        try:
            stream = await self._stream_config()
        except NotFoundError:
            try:
                await self.js.add_stream(self._stream)
                return
            except BadRequestError as error:
                if error.err_code != _STREAM_EXISTS:  # else another replica has just created it
                    raise
            stream = await self._stream_config()
        ours = frozenset(self._stream.subjects or ())
        while True:
            subjects = sorted(ours.union(stream.subjects or ()))
            try:
                await self.js.update_stream(replace(self._stream, subjects=subjects))
            except APIError as error:  # for example if the servers have less space than max_bytes
                log.warning("stream limits not changed", reason=str(error))
                await self.js.update_stream(replace(stream, subjects=subjects))
            stream = await self._stream_config()
            if ours <= frozenset(stream.subjects or ()):  # else another version has just written
                return

    async def measure_stream(self) -> None:
        """Set the gauges of the stream's size, and restore settings that another version or a command
        changed.

        Raises one of NATS_UNAVAILABLE.
        """
        info = await self.stream_info()
        STREAM_BYTES.set(info.state.bytes)
        STREAM_LIMIT_BYTES.set(max(info.config.max_bytes or 0, 0))
        # A higher number of replicas stays, else versions with different numbers would overwrite each other.
        fewer = (info.config.num_replicas or 1) < (self._stream.num_replicas or 1)
        if fewer or _limits(info.config) != _limits(self._stream):
            await self.ensure_stream()

    async def _stream_config(self) -> StreamConfig:
        return (await self.js.stream_info(str(STREAM.name))).config

    async def create_consumer(self, config: ConsumerConfig) -> None:
        """Create a durable consumer; nats-py's `add_consumer` would overwrite an existing one.

        Raises ConsumerExists if one exists with other settings, or one of NATS_UNAVAILABLE.
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

    async def stream_info(self) -> StreamInfo:
        """The stream's current state; creates it if the server lost it. Raises one of NATS_UNAVAILABLE."""
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
        """Number of reconnections. Messages in flight to this client are lost with a connection."""
        return self._client.stats["reconnects"]

    async def publish(self, event: Event) -> None:
        """Publish and wait until the server has the event on disk. Raises one of NATS_UNAVAILABLE."""
        await self.publish_raw(event.subject, event.model_dump_json(by_alias=True).encode(), event.event_id)

    async def publish_raw(
        self,
        subject: str,
        data: bytes,
        event_id: str | None = None,
        trace: str | None = None,
        written_at: datetime | None = None,
    ) -> None:
        """As publish, for an event in its wire form. Without an `event_id` JetStream drops no duplicates.

        `written_at`: when the event was stored in its outbox.
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
        except NoStreamResponseError:  # the server lost the stream
            await self.ensure_stream()
            raise

    async def pending_count(self, consumer: str) -> int:
        """Events that this durable consumer has not acknowledged. Raises one of NATS_UNAVAILABLE."""
        info = await self.js.consumer_info(str(STREAM.name), consumer, timeout=2)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def is_behind(self, id_created_at: datetime | None = None) -> bool:
        """Whether events that this service consumes may be missing: `ConsumerProgress.is_behind`."""
        is_connected = self._client.is_connected and not self._is_down
        return not is_connected or await self.progress.is_behind(id_created_at)

    async def _consumer_info(self) -> ConsumerInfo:
        """Raises one of NATS_UNAVAILABLE, also if the stream has no leader or is full."""
        if _is_full(await self.stream_info()):
            raise nats.errors.Error("the stream is full, events stay in the outboxes of their publishers")
        info: ConsumerInfo = await self.js.consumer_info(str(STREAM.name), self.name, timeout=2)
        return info

    async def notify(self, subject: str) -> None:
        """Send an empty message outside the stream. Raises one of NATS_UNAVAILABLE."""
        await self._client.publish(subject)

    async def subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
        """Call back for each message outside the stream. Raises one of NATS_UNAVAILABLE."""
        await self._client.subscribe(subject, cb=callback)

    async def ping(self) -> None:
        """Raises one of NATS_UNAVAILABLE unless JetStream answers now.

        Does not use nats-py's `flush`: after its time-out a late answer ends the reading of the connection,
        which then receives nothing until it counts as stale.
        """
        await self.stream_info()

    async def _on_error(self, error: Exception) -> None:
        if not self._is_started:
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
async def open_bus(url: str, name: str, replicas: int = 1, max_bytes: int = -1) -> AsyncIterator[Bus]:
    """A connected bus, closed at the end of the block."""
    bus = Bus(url, name, replicas, max_bytes)
    await bus.connect()
    try:
        yield bus
    finally:
        await bus.close()


def _limits(config: StreamConfig) -> tuple[int | None, float | None]:
    return config.max_bytes, config.max_age


def _is_full(stream: StreamInfo) -> bool:
    """Whether the stream may reject the next event."""
    limit = stream.config.max_bytes or 0
    return limit > 0 and stream.state.bytes > limit - min(_LARGEST_EVENT, limit // 20)
