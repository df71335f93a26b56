"""The tickets service for its tests: the whole app behind real HTTP, or its repository alone."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from ticketing_common.outbox import Relay
from ticketing_common.testing import JWT_KEY, serve_app
from tickets.config import Settings
from tickets.main import create
from tickets.repository import Tickets


@pytest.fixture
def settings(mongo_uri: str, nats_url: str) -> Settings:
    return Settings(mongo_uri=mongo_uri, nats_url=nats_url, jwt_key=JWT_KEY, log_format="console")


@pytest_asyncio.fixture
async def client(settings: Settings, bus: Any, database: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serve_app(create(settings)) as http:
        yield http


@pytest_asyncio.fixture
async def tickets(database: Any, bus: Any) -> Tickets:
    repository = Tickets(database, Relay(bus))
    await repository.ensure_indexes()
    return repository
