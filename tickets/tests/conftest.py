"""Fixtures: the whole tickets service behind real HTTP, its repository alone, and open event streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from ticketing_common.messaging.bus import Bus
from ticketing_common.storage.outbox import Outbox
from ticketing_common.testing import JWT_KEY, serve_app
from ticketing_common.values.events import TicketUpdated
from ticketing_common.values.ids import new_id
from tickets.config import Settings
from tickets.main import create
from tickets.repository import Tickets

URL = "/api/tickets/events"


@pytest.fixture
def settings(mongo_uri: str, nats_url: str) -> Settings:
    return Settings(mongo_uri=mongo_uri, nats_url=nats_url, jwt_key=JWT_KEY, log_format="console")


@pytest_asyncio.fixture
async def client(settings: Settings, bus: Any, database: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serve_app(create(settings)) as http:
        yield http


@pytest_asyncio.fixture
async def tickets(database: Any, bus: Any) -> Tickets:
    repository = Tickets(database, Outbox())
    await repository.ensure_indexes()
    return repository


class ReceivedEvent(NamedTuple):
    id: str
    event: str
    data: dict[str, Any]


class Listener:
    """Reads one open event stream as a browser does."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last_id = ""
        self._lines = response.aiter_lines()

    async def next_line(self) -> str:
        async with asyncio.timeout(5):
            return await anext(self._lines)

    async def next_event(self) -> ReceivedEvent:
        event = data = ""
        while True:
            line = await self.next_line()
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "event":
                event = value
            elif name == "data":
                data = value
            elif not line and data:
                return ReceivedEvent(self.last_id, event, json.loads(data))

    async def next_titles(self, count: int) -> list[str]:
        return [(await self.next_event()).data["title"] for _ in range(count)]

    async def wait_for_heartbeat(self) -> None:
        while await self.next_line() != ":":
            pass

    async def wait_for_end(self) -> None:
        """Raises an error if the response is cut off before its end."""
        async with asyncio.timeout(5):
            async for _ in self._lines:
                pass


@asynccontextmanager
async def open_stream(
    http: httpx.AsyncClient, last_event_id: str | bytes | None = None, query: str | None = None
) -> AsyncIterator[Listener]:
    headers: Any = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    params = {} if query is None else {"lastEventId": query}
    async with http.stream("GET", URL, headers=headers, params=params, timeout=10) as response:
        assert response.status_code == 200
        yield Listener(response)


async def publish_updates(bus: Bus, *titles: str) -> None:
    """Publish an update of a ticket for each title, one after the other."""
    for title in titles:
        event = TicketUpdated(id=new_id(), version=1, title=title, price=Decimal("19.99"), user_id="u")
        await bus.publish(event)


async def count_listeners(http: httpx.AsyncClient) -> float:
    name = "ticketing_ticket_listeners "
    metrics = (await http.get("/metrics")).text
    return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith(name))


@pytest.fixture
def listen() -> Callable[..., AbstractAsyncContextManager[Listener]]:
    """Opens an event stream."""
    return open_stream


@pytest.fixture
def update() -> Callable[..., Any]:
    return publish_updates


@pytest.fixture
def listener_count() -> Callable[[httpx.AsyncClient], Any]:
    """Reads the number of open event streams from the metrics."""
    return count_listeners
