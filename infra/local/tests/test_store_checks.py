"""An external store that cannot be used ends `make up` with a message before anything is started."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ticketing_common.testing.servers import Server, free_port, mongod, nats_server, redis_server, running
from ticketing_local import store_checks
from ticketing_local.errors import StackError
from ticketing_local.settings import Settings, load_settings
from ticketing_local.store_checks import check_named_stores


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    folder = tmp_path_factory.mktemp("stores")
    mongo, nats, redis = (make(free_port(), folder) for make in (mongod, nats_server, redis_server))
    with running(mongo), running(nats), running(redis):
        yield {"MONGO_URL": mongo, "NATS_URL": nats, "REDIS_URL": redis}


async def problems(**variables: str) -> str:
    with pytest.raises(StackError) as raised:
        await check_named_stores(Settings.model_validate(variables))
    return str(raised.value)


async def test_stores_that_answer_are_accepted(servers: dict[str, Server]) -> None:
    urls = {name.lower(): server.url for name, server in servers.items()}
    await check_named_stores(Settings.model_validate(urls))


@pytest.mark.parametrize(
    ("variable", "scheme", "listening"),
    [
        ("MONGO_URL", "mongodb", "REDIS_URL"),
        ("NATS_URL", "nats", "REDIS_URL"),
        ("NATS_URL", "nats", "MONGO_URL"),
        ("REDIS_URL", "redis", "NATS_URL"),
        ("REDIS_URL", "redis", "MONGO_URL"),
        ("STRIPE_API_BASE", "http", "MONGO_URL"),  # MongoDB answers HTTP requests with an error
        ("STRIPE_API_BASE", "http", "REDIS_URL"),
    ],
)
async def test_server_of_another_kind_is_refused(
    servers: dict[str, Server],
    variable: str,
    scheme: str,
    listening: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_checks, "TIMEOUT_SECONDS", 2)
    url = f"{scheme}://127.0.0.1:{servers[listening].port}"
    stripe = {"stripe_key": "sk_x"} if variable == "STRIPE_API_BASE" else {}
    message = await problems(**{variable.lower(): url}, **stripe)
    assert message.startswith(f"{variable}: no usable ")
    assert url in message
    assert "\n" not in message


async def test_every_store_that_does_not_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_checks, "TIMEOUT_SECONDS", 2)
    closed = f"127.0.0.1:{free_port()}"
    message = await problems(
        mongo_url=f"mongodb://me:secret@{closed}/",
        nats_url=f"nats://me:secret@{closed}",
        redis_url=f"redis://:secret@{closed}/0",
        stripe_api_base=f"http://{closed}",
        stripe_key="sk_secret",
    )
    lines = message.splitlines()
    assert [line.split(":")[0] for line in lines] == ["MONGO_URL", "NATS_URL", "REDIS_URL", "STRIPE_API_BASE"]
    assert all(closed in line and "Start it or correct the variable" in line for line in lines)
    assert "secret" not in message


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("MONGO_URL", "localhost:27017"),
        ("MONGO_URL", "mongodb://me:se@cret@localhost/"),
        ("MONGO_URL", "mongodb://localhost:secret/"),
        ("NATS_URL", "http://secret"),
        ("NATS_URL", "nats://[::secret"),
        ("REDIS_URL", "localhost"),
        ("REDIS_URL", "redis://me:secret/x@localhost:6379/0"),
        ("STRIPE_API_BASE", "api.secret.com"),
        ("STRIPE_API_BASE", "http://localhost:secret"),
    ],
)
async def test_invalid_url_is_named_and_not_shown(
    variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, url)
    if variable == "STRIPE_API_BASE":
        monkeypatch.setenv("STRIPE_KEY", "sk_x")
    with pytest.raises(StackError, match=variable) as raised:
        await check_named_stores(load_settings())
    assert "secret" not in str(raised.value)


async def test_white_space_around_a_url_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", " redis://localhost:6379/0\n")
    assert load_settings().redis_url == "redis://localhost:6379/0"


def test_make_up_ends_with_one_line_without_starting_anything(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ticketing_local.up"],
        env={**os.environ, "DATA_DIR": str(tmp_path / "data"), "REDIS_URL": url, "PORT": str(free_port())},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout.startswith(f"REDIS_URL: no usable Redis answers at {url}")
    assert len(done.stdout.splitlines()) == 1
    assert not (tmp_path / "data").exists()
