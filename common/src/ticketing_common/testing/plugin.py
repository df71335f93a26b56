"""The pytest plugin: real MongoDB, NATS and Redis, started once per run, and empty for every test.

The servers always belong to the run, and are never taken from the environment, because the fixtures delete
their data.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ticketing_common.testing.servers import Server, free_port, mongod, nats_server, redis_server, running


def pytest_report_header() -> str | None:
    """Prints once, at the top, why tests in a browser are skipped."""
    from ticketing_common.testing.browser import BrowserMissing, find_chromium

    try:
        find_chromium()
    except BrowserMissing as missing:
        return f"tests in a browser are skipped: {missing}"
    return None


_DATA_FOLDERS = ("mongo", "jetstream", "redis")
"""The folders of the test servers' data (`ticketing_common.testing.servers`)."""


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Deletes the data of the test servers, which is far larger than the logs beside it.

    pytest itself keeps the temporary folders of failed tests.
    """
    temporary = getattr(session.config, "_tmp_path_factory", None)  # pytest has no public name for it
    if temporary is None or temporary._basetemp is None:  # no test used a temporary folder
        return
    for name in _DATA_FOLDERS:
        for folder in temporary._basetemp.rglob(name):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def servers_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def mongo_server(servers_dir: Path) -> Iterator[Server]:
    server = mongod(free_port(), servers_dir)
    with running(server):
        yield server


@pytest.fixture(scope="session")
def nats_url(servers_dir: Path) -> Iterator[str]:
    server = nats_server(free_port(), servers_dir)
    with running(server):
        yield server.url


@pytest.fixture
def redis_url(redis_at: str) -> str:
    """A Redis without keys."""
    from redis import Redis

    Redis.from_url(redis_at).flushall()
    return redis_at


@pytest.fixture(scope="session")
def redis_at(servers_dir: Path) -> Iterator[str]:
    server = redis_server(free_port(), servers_dir)
    with running(server):
        yield server.url


@pytest_asyncio.fixture
async def database(mongo_uri: str) -> AsyncIterator[Any]:
    """A database for this test only."""
    from ticketing_common.storage.mongo import connect

    db = connect(mongo_uri)
    yield db
    await db.client.drop_database(db.name)
    db.client.close()


@pytest.fixture
def mongo_uri(mongo_server: Server) -> str:
    """The URI of a database for this test only."""
    from ticketing_common.values.ids import new_id

    return f"{mongo_server.url}/test-{new_id()}"


@pytest_asyncio.fixture
async def bus(nats_url: str) -> AsyncIterator[Any]:
    """A connection to an empty stream."""
    from ticketing_common.messaging.bus import open_bus
    from ticketing_common.testing.events import empty_stream

    async with open_bus(nats_url, "test") as connection:
        await empty_stream(connection)
        yield connection
