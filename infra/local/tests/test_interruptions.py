"""`make up` ends without a traceback if it is interrupted before it starts a process."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ticketing_common.testing.servers import free_port

WaitUntil = Callable[..., None]
Start = Callable[..., "subprocess.Popen[str]"]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(**environment: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ticketing_local.up"],
            env={**os.environ, "DATA_DIR": str(tmp_path), "PORT": str(free_port()), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def has_loaded(process: "subprocess.Popen[str]", module: str) -> bool:
    return module in Path(f"/proc/{process.pid}/maps").read_text()


def assert_stopped_by_ctrl_c(process: "subprocess.Popen[str]") -> None:
    output, _ = process.communicate(timeout=30)
    assert output == "\nStopped before anything was started.\n"
    assert process.returncode == 130


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_ctrl_c_during_the_imports_ends_make_up_without_a_traceback(
    start: Start, wait_until: WaitUntil
) -> None:
    process = start()
    wait_until(lambda: has_loaded(process, "pydantic_core"))
    process.send_signal(signal.SIGINT)
    assert_stopped_by_ctrl_c(process)


def test_ctrl_c_during_the_check_of_an_external_store_ends_make_up_at_once(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start(REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        silent.settimeout(60)
        silent.accept()
        process.send_signal(signal.SIGINT)
        assert_stopped_by_ctrl_c(process)


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_moved_checkout_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)  # its packages are in ROOT
    command = ["make", "up", "--old-file=.venv/installed"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "run 'make clean', then try again" in done.stdout
    assert "Traceback" not in done.stderr
