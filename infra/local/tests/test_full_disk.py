"""With a full disk the start is refused with a message, and running processes continue."""

import asyncio
import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ticketing_common.testing.servers import free_port
from ticketing_local import data_dir
from ticketing_local import supervisor as supervisor_module
from ticketing_local.console import Console
from ticketing_local.errors import StackError
from ticketing_local.process import Process, ProcessSpec
from ticketing_local.stack import Planner
from ticketing_local.supervisor import Supervisor
from ticketing_local.testing import running_stack

MORE_THAN_ANY_DISK_HAS = 10**18


async def always() -> bool:
    return True


def script(code: str) -> ProcessSpec:
    return ProcessSpec("orders", [sys.executable, "-S", "-c", code], {"PATH": os.environ["PATH"]}, always)


async def test_start_on_a_full_disk_is_refused_with_the_folder_and_what_to_do(
    tmp_path: Path, with_stand_ins: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_dir, "NEEDED_BYTES", MORE_THAN_ANY_DISK_HAS)
    with pytest.raises(StackError, match=rf"The disk is full: {tmp_path} has .* Free some space, or use"):
        async with running_stack(tmp_path, plan=with_stand_ins):
            pass


def test_file_that_cannot_be_written_fails_the_start_with_a_message(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    # Without coverage, which cannot write its file either.
    environment = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("up_with_stand_ins.py"))],
        env={**environment, "DATA_DIR": str(folder), "PORT": str(free_port())},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert f"{folder} cannot be written (File too large)" in done.stdout


async def test_process_continues_while_its_log_cannot_be_written() -> None:
    line = "x" * 100
    code = f"for n in range(2000): print(n, {line!r}, flush=True)"  # more than a pipe holds
    shown: list[str] = []
    process = Process(script(code), Path("/dev/full"), shown.append)
    await process.spawn(process.spec)
    async with asyncio.timeout(30):
        assert await process.wait() == 0
    assert shown[-1] == f"1999 {line}"


async def test_process_given_up_on_a_full_disk_reports_the_disk_instead_of_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "RESTART_DELAY", 0)
    monkeypatch.setattr(data_dir, "NEEDED_BYTES", MORE_THAN_ANY_DISK_HAS)
    supervisor = Supervisor([script("raise SystemExit(14)")], tmp_path, Console(io.StringIO()))

    async def run() -> None:
        await supervisor.start("orders")
        await supervisor.wait_for_failure()

    with pytest.raises(StackError, match=r"orders died 5 times(.|\n)*The disk is full: ") as given_up:
        await run()
    assert "last output" not in str(given_up.value)


async def test_full_disk_is_reported_once_and_once_more_when_it_has_space_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_dir, "CHECK_INTERVAL", 0.01)
    screen = io.StringIO()
    watching = asyncio.create_task(data_dir.watch_free_space(tmp_path, Console(screen)))
    for needed in (0, MORE_THAN_ANY_DISK_HAS, 0):
        monkeypatch.setattr(data_dir, "NEEDED_BYTES", needed)
        await asyncio.sleep(0.5)
    watching.cancel()
    full, again = screen.getvalue().splitlines()
    assert full.startswith(f"The disk is full: {tmp_path} has ")
    assert again == "The disk has enough space again."
