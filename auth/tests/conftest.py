"""Fixtures of the auth service's tests: the whole app behind real HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from auth.config import Settings
from auth.main import create
from ticketing_common.testing import JWT_KEY, serve_app


@pytest.fixture
def settings(mongo_uri: str) -> Settings:
    return Settings(mongo_uri=mongo_uri, jwt_key=JWT_KEY, log_format="console")


@pytest_asyncio.fixture
async def client(settings: Settings, database: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serve_app(create(settings)) as http:
        yield http
