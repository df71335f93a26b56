"""Fixtures: the whole orders service behind real HTTP, and its repository alone."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from orders.config import Settings
from orders.main import create
from orders.repository import Orders
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.storage.outbox import Outbox
from ticketing_common.testing import JWT_KEY, serve_app, wait_until
from ticketing_common.testing.events import is_listening


@pytest.fixture
def settings(mongo_uri: str, nats_url: str) -> Settings:
    return Settings(mongo_uri=mongo_uri, nats_url=nats_url, jwt_key=JWT_KEY, log_format="console")


@pytest_asyncio.fixture
async def client(settings: Settings, bus: Any, database: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serve_app(create(settings)) as http:
        await wait_until(lambda: is_listening(bus, "orders"))  # before that an unknown ticket is 503, not 404
        yield http


@pytest_asyncio.fixture
async def orders(database: Any, bus: Any) -> Orders:
    repository = Orders(database, Outbox(), Arrivals(bus))
    await repository.ensure_indexes()
    return repository
