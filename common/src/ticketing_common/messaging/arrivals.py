"""Waits briefly for the copy of an aggregate that another service created a moment ago.

Its event may still be in flight. The repository that stores the first copy notifies the waiting requests: in
this process directly, and in other replicas by a NATS message. That message may be lost, so every request
reads the database once more when its time is over.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from nats.aio.msg import Msg

from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus
from ticketing_common.messaging.progress import is_young
from ticketing_common.values.errors import Unavailable
from ticketing_common.values.ids import created_at, is_id

_TIMEOUT = 2.0
"""Seconds."""
_MAX_WAITING = 256
"""Requests of a process."""
_MAX_WAITING_PER_USER = 4
_MAX_WAITING_ANONYMOUS = 64
"""Requests of all people who are not signed in, so that they leave room for users."""

T = TypeVar("T")


class Arrivals:
    """The requests of this process that wait for the copy of an aggregate."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._notices: dict[str, set[asyncio.Event]] = {}
        self._waiting_by_user: Counter[str | None] = Counter()

    async def run(self, stopping: asyncio.Event) -> None:
        """Receive the notifications of other replicas until `stopping` is set."""
        await self._bus.connect()
        await self._bus.subscribe(f"arrived.{self._bus.name}.*", self._receive)
        await stopping.wait()

    async def notify(self, identity: str) -> None:
        """Notify the waiting requests of all replicas that the first copy of this aggregate is stored."""
        self._notify_here(identity)
        if is_id(identity):
            with contextlib.suppress(*NATS_UNAVAILABLE):
                await self._bus.notify(f"arrived.{self._bus.name}.{identity}")

    async def find_or_wait(
        self,
        identity: str,
        find: Callable[[], Awaitable[T | None]],
        *,
        user_id: str | None = None,
        timeout: float = _TIMEOUT,
    ) -> T | None:
        """The result of `find`; None only if the id certainly does not exist.

        Waits up to `timeout` seconds for an id created within the last 30 seconds. Raises Unavailable if
        nothing is found and its event may be missing, or if too many requests of this user, or of all users,
        wait already.
        """
        id_created_at = created_at(identity)
        with self._notice(identity) as arrived:
            found = await find()
            if found is not None or id_created_at is None:
                return found
            if is_young(id_created_at):
                await self._wait(arrived, user_id, timeout)
        is_behind = not arrived.is_set() and await self._bus.is_behind(id_created_at)
        found = await find()
        if found is None and is_behind:
            raise Unavailable
        return found

    @contextlib.contextmanager
    def _notice(self, identity: str) -> Iterator[asyncio.Event]:
        """An event that is set by `notify`."""
        arrived = asyncio.Event()
        notices = self._notices.setdefault(identity, set())
        notices.add(arrived)
        try:
            yield arrived
        finally:
            notices.discard(arrived)
            if not notices:
                self._notices.pop(identity, None)

    async def _wait(self, arrived: asyncio.Event, user_id: str | None, timeout: float) -> None:
        """Raises Unavailable if too many requests wait already."""
        limit = _MAX_WAITING_ANONYMOUS if user_id is None else _MAX_WAITING_PER_USER
        if self._waiting_by_user[user_id] >= limit or self._waiting_by_user.total() >= _MAX_WAITING:
            raise Unavailable
        self._waiting_by_user[user_id] += 1
        try:
            await asyncio.wait_for(arrived.wait(), timeout)
        except TimeoutError:
            return
        finally:
            self._waiting_by_user[user_id] -= 1
            if not self._waiting_by_user[user_id]:
                del self._waiting_by_user[user_id]

    def _notify_here(self, identity: str) -> None:
        for arrived in self._notices.get(identity, ()):
            arrived.set()

    async def _receive(self, message: Msg) -> None:
        self._notify_here(message.subject.rpartition(".")[2])
