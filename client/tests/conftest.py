"""The site on a real server, with every service down.

The tests with running services are in infra/tests/browser.
"""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from client.config import Settings
from client.main import create
from ticketing_common.testing import JWT_KEY
from ticketing_common.testing.http import serve_app
from ticketing_common.testing.servers import free_port


@pytest_asyncio.fixture
async def site() -> AsyncIterator[httpx.AsyncClient]:
    unreachable = f"http://127.0.0.1:{free_port()}"
    settings = Settings(
        jwt_key=JWT_KEY,
        cookie_secure=False,
        auth_url=unreachable,
        tickets_url=unreachable,
        orders_url=unreachable,
        payments_url=unreachable,
    )
    async with serve_app(create(settings)) as http:
        yield http
