"""What becomes of tickets, as it happens: each replica reads the stream once, and tells all who listen to it.

The latest events are kept in order, each once, as the bytes that go out. A listener is no more than the
position that it has been told of, so thousands that have nothing to hear cost little, and none can make us
keep more for it: who is behind what is kept, having been away or being slow, is read to from the stream.
"""

import asyncio
import random
from bisect import bisect_right
from collections.abc import AsyncGenerator
from operator import itemgetter

from prometheus_client import Gauge
from pydantic import ValidationError

from ticketing_common import sse
from ticketing_common.clock import now
from ticketing_common.events import TicketCreated, TicketUpdated
from ticketing_common.jetstream import DOWN, Bus
from ticketing_common.logs import get_logger
from ticketing_common.tail import Position, Stored, read, tail
from ticketing_common.tasks import cancel_and_wait
from tickets.schemas import TicketOut

HEARTBEAT = 15.0
RECENT = 4096
"""Events that are kept: 2 to 4 MB."""
_BATCH = 128
"""Events in one chunk; about what the server takes before it waits for the client."""
_RETRY = 0.5
_SUBJECTS = [TicketCreated.subject, TicketUpdated.subject]

LISTENERS = Gauge("ticketing_ticket_listeners", "Open streams of ticket events")

log = get_logger(__name__)

Entry = tuple[Position, bytes]


class Feed:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._begun = now()
        self._recent: list[Entry] = []
        self._floor = self._origin = Position(0, 0)
        # All that lies between the floor and what is reached is in `_recent`. Who listened before we had
        # read anything begins at the origin: what was stored after this process began is news to them.
        self._reached: Position | None = None
        self._restarts = 0
        self._news = asyncio.Event()  # set, and replaced by another, whenever there is something new
        self._behind = asyncio.Semaphore(8)

    @property
    def position(self) -> Position | None:
        """Up to where everything has been read; None before NATS was reached for the first time."""
        return self._reached

    async def run(self, stopping: asyncio.Event) -> None:
        """Read the stream until told to stop."""
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow())
            await stopping.wait()
            await cancel_and_wait(following)

    def listen(self, last_event_id: str | None) -> AsyncGenerator[bytes, None]:
        """Every event from now on, or all behind the one that was seen last, where that can be told."""
        asked = Position.parse(last_event_id) if last_event_id else None
        return self._tell(self._reached, asked, self._restarts)

    async def _tell(
        self, start: Position | None, asked: Position | None, restarts: int
    ) -> AsyncGenerator[bytes, None]:
        with LISTENERS.track_inprogress():
            # When a replica stops, its listeners do not all come back at the same moment.
            yield b"retry: %d\n" % random.randint(1000, 3000) + sse.COMMENT
            seen: Position | None = None
            while restarts == self._restarts:
                news = self._news
                entries: list[Entry] = []
                try:
                    if seen is None and self._reached is not None:
                        seen = await self._place(start or self._origin, asked)
                        if seen != asked:  # it misses nothing, even if it is cut off before the first event
                            yield f"id: {seen}\n\n".encode()
                    if seen is not None:
                        entries = await self._after(seen)
                except DOWN as error:
                    log.debug("a listener's past is out of reach", reason=repr(error))
                if entries:
                    seen = entries[-1][0]
                    chunk = b"".join(data for _, data in entries)
                else:
                    chunk = b"" if await _comes(news) else sse.COMMENT
                if chunk:
                    yield chunk

    async def _place(self, live: Position, asked: Position | None) -> Position:
        """Where a listener begins: where it asks to, if what came since can be told. Raises one of DOWN."""
        if asked is None:
            return live
        if self._reached is not None and self._floor <= asked <= self._reached:
            return asked
        stream = await self._bus.stream()
        first, last = stream.state.first_seq - 1, stream.state.last_seq
        return asked if Position.of(stream, first) <= asked <= Position.of(stream, last) else live

    async def _after(self, seen: Position) -> list[Entry]:
        """The next events; none when there are none yet. Raises one of DOWN."""
        floor = self._floor
        if seen >= floor:
            begin = bisect_right(self._recent, seen, key=itemgetter(0))
            return self._recent[begin : begin + _BATCH]
        async with self._behind:
            messages = await read(self._bus, _SUBJECTS, seen, _BATCH)
        return [_entry(message) for message in messages] or [(floor, b"")]

    async def _follow(self) -> None:
        await self._bus.connect()
        while self._reached is None:
            try:
                await self._begin()
            except DOWN as error:
                log.warning("the feed waits for jetstream", reason=repr(error))
                await asyncio.sleep(_RETRY)
        async for reached, messages in tail(self._bus, _SUBJECTS, self._reached):
            if reached < self._reached:
                self._restart(reached)
            self._take(reached, messages)

    async def _begin(self) -> None:
        """Take in the latest events, so that few who come back to a new process have to be read to."""
        stream = await self._bus.stream()
        first, last = stream.state.first_seq - 1, stream.state.last_seq
        seen = floor = Position.of(stream, max(first, last - RECENT, 0))
        latest: list[Stored] = []
        while messages := await read(self._bus, _SUBJECTS, seen, _BATCH):
            latest += messages
            seen = messages[-1].position
        self._floor = floor
        self._origin = max((m.position for m in latest if m.at < self._begun), default=floor)
        self._take(max(seen, Position.of(stream, last)), latest)

    def _take(self, reached: Position, messages: list[Stored]) -> None:
        self._recent += map(_entry, messages)
        if (surplus := len(self._recent) - RECENT) > 0:
            self._floor = self._recent[surplus - 1][0]
            del self._recent[:surplus]
        self._reached = reached
        self._news.set()
        self._news = asyncio.Event()

    def _restart(self, reached: Position) -> None:
        """Positions went back, as when an old copy of the stream was restored, so those told mean nothing.

        Every listener's answer ends, and it comes back to begin anew.
        """
        log.warning("the stream has lost its end, all listeners begin anew")
        self._recent.clear()
        self._floor = self._origin = reached
        self._restarts += 1


async def _comes(news: asyncio.Event) -> bool:
    """Whether there is news before a heartbeat is due."""
    try:
        async with asyncio.timeout(HEARTBEAT):
            return await news.wait()
    except TimeoutError:
        return False


def _entry(message: Stored) -> Entry:
    """The event as it goes out; of one that does not parse the position alone."""
    try:
        # One that was just created has no order; otherwise the two events say the same.
        event = TicketUpdated.model_validate_json(message.data)
    except ValidationError as error:
        log.error("an event is left out of the feed", position=str(message.position), reason=str(error))
        return message.position, b""
    ticket = TicketOut(**event.model_dump())
    data = ticket.model_dump_json(by_alias=True)
    return message.position, sse.event(str(message.position), message.subject, data)
