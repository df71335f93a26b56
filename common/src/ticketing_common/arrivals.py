"""Requests for what was created a moment ago in another service, whose event may still be in flight.

A request waits for a notice instead of polling the database. The repository that stores the first copy of an
aggregate announces its id: in this process directly, and to the other replicas by a NATS message that may be
lost, since every waiting request looks once more when its time is over.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from nats.aio.msg import Msg

from ticketing_common.errors import Unavailable
from ticketing_common.jetstream import DOWN, Bus
from ticketing_common.mongo import is_id, made_at
from ticketing_common.progress import is_young

_PATIENCE = 2.0
"""Seconds that a request waits at most."""
_MOST_WAITING = 256
_MOST_WAITING_PER_USER = 4
_MOST_WAITING_ANONYMOUS = 64
"""Together, so that they leave room for users."""

T = TypeVar("T")


class Arrivals:
    """The requests of this process that wait for an id, and the notices that end their waiting."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._notices: dict[str, set[asyncio.Event]] = {}
        self._waiting: Counter[str | None] = Counter()

    async def run(self, stopping: asyncio.Event) -> None:
        """Receive the notices of other replicas until told to stop."""
        await self._bus.connect()
        await self._bus.receive(f"arrived.{self._bus.name}.*", self._receive)
        await stopping.wait()

    async def announce(self, identity: str) -> None:
        """Notify waiting requests, of all replicas, that the first copy of this aggregate is stored."""
        self._notify(identity)
        if is_id(identity):
            with contextlib.suppress(*DOWN):
                await self._bus.notify(f"arrived.{self._bus.name}.{identity}")

    async def find(
        self,
        identity: str,
        look: Callable[[], Awaitable[T | None]],
        *,
        user_id: str | None = None,
        patience: float = _PATIENCE,
    ) -> T | None:
        """What `look` finds; None only if the id is unknown for certain.

        Waits up to `patience` seconds for an id made within the last 30 seconds. Raises Unavailable if it is
        not found and its event may be missing, or if too many requests wait already, of this user or in all.
        """
        made = made_at(identity)
        with self._notice(identity) as arrived:
            found = await look()
            if found is not None or made is None:
                return found
            if is_young(made):
                await self._wait(arrived, user_id, patience)
        is_behind = not arrived.is_set() and await self._bus.is_behind(made)
        found = await look()
        if found is None and is_behind:
            raise Unavailable
        return found

    @contextlib.contextmanager
    def _notice(self, identity: str) -> Iterator[asyncio.Event]:
        """An event that is set when the id is announced."""
        arrived = asyncio.Event()
        waiting = self._notices.setdefault(identity, set())
        waiting.add(arrived)
        try:
            yield arrived
        finally:
            waiting.discard(arrived)
            if not waiting:
                self._notices.pop(identity, None)

    async def _wait(self, arrived: asyncio.Event, user_id: str | None, patience: float) -> None:
        """Raises Unavailable if there is no room for one more waiting request."""
        most = _MOST_WAITING_ANONYMOUS if user_id is None else _MOST_WAITING_PER_USER
        if self._waiting[user_id] >= most or self._waiting.total() >= _MOST_WAITING:
            raise Unavailable
        self._waiting[user_id] += 1
        try:
            await asyncio.wait_for(arrived.wait(), patience)
        except TimeoutError:
            return
        finally:
            self._waiting[user_id] -= 1
            if not self._waiting[user_id]:
                del self._waiting[user_id]

    def _notify(self, identity: str) -> None:
        for arrived in self._notices.get(identity, ()):
            arrived.set()

    async def _receive(self, message: Msg) -> None:
        self._notify(message.subject.rpartition(".")[2])
