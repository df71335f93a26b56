"""A full disk: the start is refused in a sentence, and what runs goes on as well as it can."""

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
from ticketing_local import supervisor as supervision
from ticketing_local.console import Console
from ticketing_local.errors import StackError
from ticketing_local.process import Part, Process
from ticketing_local.stack import Planner
from ticketing_local.supervisor import Supervisor
from ticketing_local.testing import running_stack

MORE_THAN_ANY_DISK_HAS = 10**18


def script(code: str) -> Part:
    return Part("orders", [sys.executable, "-S", "-c", code], {"PATH": os.environ["PATH"]})


async def test_start_on_a_full_disk_is_refused_with_the_folder_and_what_to_do(
    tmp_path: Path, with_stand_ins: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_dir, "NEEDED_BYTES", MORE_THAN_ANY_DISK_HAS)
    with pytest.raises(StackError, match=rf"The disk is full: {tmp_path} has .* Free some space, or use"):
        async with running_stack(tmp_path, plan=with_stand_ins):
            pass


def test_a_file_that_cannot_be_written_ends_the_start_in_one_sentence(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("up_with_stand_ins.py"))],
        env={**os.environ, "DATA_DIR": str(data_dir), "PORT": str(free_port())},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert f"{data_dir} cannot be written (File too large)" in done.stdout


async def test_a_part_goes_on_when_its_log_has_no_space(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "x" * 100
    code = f"for n in range(2000): print(n, {said!r}, flush=True)"  # more than a pipe holds
    shown: list[str] = []
    process = Process(script(code), Path("/dev/full"), shown.append)
    await process.spawn(process.part)
    async with asyncio.timeout(30):
        assert await process.wait() == 0
    assert shown[-1] == f"1999 {said}"


async def test_giving_a_part_up_on_a_full_disk_names_the_disk_instead_of_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "RESTART_DELAY", 0)
    monkeypatch.setattr(data_dir, "NEEDED_BYTES", MORE_THAN_ANY_DISK_HAS)
    supervisor = Supervisor([script("raise SystemExit(14)")], tmp_path, Console(io.StringIO()))

    async def run() -> None:
        await supervisor.start("orders")
        await supervisor.wait_for_failure()

    with pytest.raises(StackError, match=r"orders died 5 times(.|\n)*The disk is full: ") as given_up:
        await run()
    assert "last output" not in str(given_up.value)


async def test_a_disk_that_becomes_full_is_named_once_and_again_when_it_has_space(
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
