"""The site behind a real server, with every service down: what it is worth by itself.

With the services it is tested in a browser, in infra/tests/browser.
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
    nobody = f"http://127.0.0.1:{free_port()}"
    settings = Settings(
        jwt_key=JWT_KEY,
        cookie_secure=False,
        auth_url=nobody,
        tickets_url=nobody,
        orders_url=nobody,
        payments_url=nobody,
    )
    async with serve_app(create(settings)) as http:
        yield http
