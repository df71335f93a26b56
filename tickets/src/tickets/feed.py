"""The live feed: each replica reads the ticket events once and sends them to all its listeners.

The feed keeps the latest events in order, encoded once for all listeners. A listener is only a position in
the stream, so thousands of idle listeners cost little and a slow one takes no extra memory. A listener that
is behind the kept events reads from the stream until it has caught up.
"""

import asyncio
import random
from bisect import bisect_right
from collections.abc import AsyncGenerator
from operator import itemgetter

from pydantic import ValidationError

from ticketing_common.background import cancel_and_wait, retry_while_down
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus
from ticketing_common.messaging.stream_reader import Position, StoredMessage, read_messages
from ticketing_common.observability.logs import get_logger
from ticketing_common.values.clock import now
from ticketing_common.values.events import TicketCreated, TicketUpdated
from tickets.metrics import OPEN_STREAMS
from tickets.schemas import TicketOut
from tickets.sse import COMMENT, sse_event
from tickets.stream_tail import tail_stream

HEARTBEAT_SECONDS = 15.0
MAX_RECENT = 4096
"""Events that are kept: 2 to 4 MB."""
_BATCH = 128
"""Events per chunk: about what the server buffers before it waits for the client."""
_MAX_CATCH_UPS = 8
"""Listeners that may read from the stream at the same time."""
_RETRY_SECONDS = 0.5
_SUBJECTS = [TicketCreated.subject, TicketUpdated.subject]

log = get_logger(__name__)

Entry = tuple[Position, bytes]
"""An event as sent to listeners, and its position in the stream."""


class Feed:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._created_at = now()
        # All events after `_kept_after`, up to `_position`.
        self._recent: list[Entry] = []
        self._kept_after = Position(0, 0)
        self._position: Position | None = None
        # Where a listener starts that connected before the first read: it receives the events that were
        # stored after this process started.
        self._first_position = Position(0, 0)
        self._resets = 0
        self._updated = asyncio.Event()  # set, and replaced, when there are new events
        self._catch_ups = asyncio.Semaphore(_MAX_CATCH_UPS)

    @property
    def position(self) -> Position | None:
        """The feed contains all events up to here; None before its first connection to NATS."""
        return self._position

    async def run(self, stopping: asyncio.Event) -> None:
        """Read the stream until `stopping` is set."""
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read_stream())
            await stopping.wait()
            await cancel_and_wait(reading)

    def subscribe(self, last_event_id: str | None) -> AsyncGenerator[bytes, None]:
        """The events after `last_event_id`; those from now on if it is missing or not in the stream."""
        requested = Position.parse(last_event_id) if last_event_id else None
        return self._send_events(self._position, requested, self._resets)

    async def _send_events(
        self, live: Position | None, requested: Position | None, resets: int
    ) -> AsyncGenerator[bytes, None]:
        with OPEN_STREAMS.track_inprogress():
            # Random, so that the listeners of a stopped replica do not all reconnect at the same moment.
            yield b"retry: %d\n" % random.randint(1000, 3000) + COMMENT
            sent: Position | None = None
            while resets == self._resets:
                updated = self._updated
                entries: list[Entry] = []
                try:
                    if sent is None and self._position is not None:
                        sent = await self._find_start(live or self._first_position, requested)
                        if sent != requested:  # to resume from, if the client disconnects before an event
                            yield f"id: {sent}\n\n".encode()
                    if sent is not None:
                        entries = await self._entries_after(sent)
                except NATS_UNAVAILABLE as error:
                    log.debug("cannot read earlier events for a listener", reason=repr(error))
                if entries:
                    sent = entries[-1][0]
                    chunk = b"".join(data for _, data in entries)
                else:
                    chunk = b"" if await _is_set_before_heartbeat(updated) else COMMENT
                if chunk:
                    yield chunk

    async def _find_start(self, live: Position, requested: Position | None) -> Position:
        """The requested position if all later events are available, otherwise `live`.

        Raises one of NATS_UNAVAILABLE.
        """
        if requested is None:
            return live
        if self._position is not None and self._kept_after <= requested <= self._position:
            return requested
        stream = await self._bus.stream_info()
        first, last = stream.state.first_seq - 1, stream.state.last_seq
        is_available = Position.of(stream, first) <= requested <= Position.of(stream, last)
        return requested if is_available else live

    async def _entries_after(self, position: Position) -> list[Entry]:
        """The next events, if there are any yet. Raises one of NATS_UNAVAILABLE."""
        kept_after = self._kept_after
        if position >= kept_after:
            start = bisect_right(self._recent, position, key=itemgetter(0))
            return self._recent[start : start + _BATCH]
        async with self._catch_ups:
            messages = await read_messages(self._bus, _SUBJECTS, position, _BATCH)
        # Without messages the stream has none before the kept events.
        return [_encode(message) for message in messages] or [(kept_after, b"")]

    async def _read_stream(self) -> None:
        await self._bus.connect()
        reached = await retry_while_down(
            self._load_recent, NATS_UNAVAILABLE, waiting_for="jetstream", every=_RETRY_SECONDS
        )
        async for position, messages in tail_stream(self._bus, _SUBJECTS, reached):
            if position < reached:
                self._reset(position)
            self._append(position, messages)
            reached = position

    async def _load_recent(self) -> Position:
        """Load the latest events, so that few listeners of a restarted process must read from the stream.

        Returns the position reached.
        """
        stream = await self._bus.stream_info()
        first, last = stream.state.first_seq - 1, stream.state.last_seq
        position = kept_after = Position.of(stream, max(first, last - MAX_RECENT, 0))
        latest: list[StoredMessage] = []
        while messages := await read_messages(self._bus, _SUBJECTS, position, _BATCH):
            latest += messages
            position = messages[-1].position
        self._kept_after = kept_after
        self._first_position = max(
            (message.position for message in latest if message.at < self._created_at), default=kept_after
        )
        reached = max(position, Position.of(stream, last))
        self._append(reached, latest)
        return reached

    def _append(self, position: Position, messages: list[StoredMessage]) -> None:
        self._recent += map(_encode, messages)
        if (surplus := len(self._recent) - MAX_RECENT) > 0:
            self._kept_after = self._recent[surplus - 1][0]
            del self._recent[:surplus]
        self._position = position
        self._updated.set()
        self._updated = asyncio.Event()

    def _reset(self, position: Position) -> None:
        """End all listeners' streams: positions went back, for example after an old copy was restored.

        The positions that listeners have are invalid then, so they must reconnect and start anew.
        """
        log.warning("the stream has lost its latest events, disconnecting all listeners")
        self._recent.clear()
        self._kept_after = self._first_position = position
        self._resets += 1


async def _is_set_before_heartbeat(updated: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            return await updated.wait()
    except TimeoutError:
        return False


def _encode(message: StoredMessage) -> Entry:
    """The event in its wire form; empty if it does not parse."""
    try:
        # ticket.created lacks only the order, which a new ticket does not have.
        event = TicketUpdated.model_validate_json(message.data)
    except ValidationError as error:
        log.error("the feed skips an invalid event", position=str(message.position), reason=str(error))
        return message.position, b""
    ticket = TicketOut(**event.model_dump())
    data = ticket.model_dump_json(by_alias=True)
    return message.position, sse_event(str(message.position), message.subject, data)
