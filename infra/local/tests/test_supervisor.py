"""The supervisor restarts processes, gives up on one that keeps exiting, and leaves none behind."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ticketing_local import supervisor as supervisor_module
from ticketing_local.console import Console
from ticketing_local.errors import StackError
from ticketing_local.process import ProcessSpec
from ticketing_local.supervisor import Supervisor

IsAlive = Callable[[int], bool]
Script = Callable[[str, str], ProcessSpec]
Supervise = Callable[..., Supervisor]

RUN = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(3600)"
FAIL = "print('cannot open the file'); raise SystemExit(3)"
FORK = f"import os; os.fork(); {RUN}"
IGNORE_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {RUN}"


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def script(name: str, code: str) -> ProcessSpec:
        """A process that is ready after its first output."""

        async def has_output() -> bool:
            return (tmp_path / f"{name}.log").stat().st_size > 0

        environment = {"PATH": os.environ["PATH"], "WORD": "hello"}
        return ProcessSpec(name, [sys.executable, "-S", "-c", code], environment, has_output)

    return script


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
async def supervise(tmp_path: Path, screen: io.StringIO) -> AsyncIterator[Supervise]:
    supervisors: list[Supervisor] = []

    def supervise(*specs: ProcessSpec, restarts: bool = True) -> Supervisor:
        console = Console(screen)
        console.shows_logs = True
        supervisors.append(Supervisor(specs, tmp_path, console, restarts=restarts))
        return supervisors[-1]

    yield supervise
    for supervisor in supervisors:
        await supervisor.kill(*supervisor.names)


async def never() -> bool:
    return False


async def wait_for_pids(log: Path, count: int) -> list[int]:
    """Wait until the log has this number of process ids."""
    found: list[int] = []

    def has_enough() -> bool:
        found[:] = [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("pid")]
        return len(found) >= count

    await wait_until(has_enough)
    return found


async def wait_until(condition: Callable[[], bool], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - another process sets no Event
            await asyncio.sleep(0.02)


async def test_killed_process_is_restarted_and_named(
    supervise: Supervise, script: Script, tmp_path: Path, screen: io.StringIO
) -> None:
    supervisor = supervise(script("orders", RUN))
    await supervisor.start("orders")
    [first] = await wait_for_pids(tmp_path / "orders.log", 1)
    os.kill(first, signal.SIGKILL)
    _, second = await wait_for_pids(tmp_path / "orders.log", 2)
    assert first != second
    assert "orders was killed by SIGKILL: it starts again in 0.5 s" in screen.getvalue()


async def test_process_that_keeps_exiting_is_given_up_with_its_last_output(
    supervise: Supervise, script: Script, tmp_path: Path
) -> None:
    supervisor = supervise(script("orders", FAIL), script("auth", RUN))

    async def run() -> None:
        await supervisor.start("orders", "auth")
        await supervisor.wait_for_failure()

    with pytest.raises(StackError) as given_up:
        await run()
    message = str(given_up.value)
    assert "orders died 5 times within 30 s; the last time it ended with exit status 3" in message
    assert "cannot open the file" in message
    assert str(tmp_path / "orders.log") in message


async def test_without_restarts_an_exit_before_ready_fails_the_start(
    supervise: Supervise, script: Script
) -> None:
    supervisor = supervise(replace(script("orders", FAIL), is_ready=never), restarts=False)
    with pytest.raises(StackError, match="orders ended with exit status 3 before it was ready") as error:
        await supervisor.start("orders")
    assert "cannot open the file" in str(error.value)


async def test_missing_program_fails_the_start_at_once(supervise: Supervise, script: Script) -> None:
    supervisor = supervise(replace(script("orders", ""), command=["/nowhere/python"]))
    with pytest.raises(StackError, match=r"orders cannot be run: .*No such file"):
        await supervisor.start("orders")


async def test_process_that_is_never_ready_fails_the_start_after_the_timeout(
    supervise: Supervise, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "START_TIMEOUT", 0.5)
    supervisor = supervise(replace(script("orders", RUN), is_ready=never))
    with pytest.raises(StackError, match=r"orders not ready after 0\.5 s"):
        await supervisor.start("orders")


async def test_process_killed_by_the_supervisor_stays_down_until_it_is_started(
    supervise: Supervise, script: Script, tmp_path: Path, is_alive: IsAlive
) -> None:
    supervisor = supervise(script("orders", RUN))
    await supervisor.start("orders")
    [first] = await wait_for_pids(tmp_path / "orders.log", 1)
    await supervisor.kill("orders")
    assert not is_alive(first)
    await asyncio.sleep(0.8)  # longer than the delay of a restart
    assert len(await wait_for_pids(tmp_path / "orders.log", 1)) == 1
    await supervisor.start("orders")
    assert len(await wait_for_pids(tmp_path / "orders.log", 2)) == 2


async def test_forked_child_ends_with_its_parent(
    supervise: Supervise, script: Script, tmp_path: Path, is_alive: IsAlive
) -> None:
    supervisor = supervise(script("worker", FORK), restarts=False)
    await supervisor.start("worker")
    parent, child = sorted(await wait_for_pids(tmp_path / "worker.log", 2))
    os.kill(parent, signal.SIGKILL)
    await wait_until(lambda: not is_alive(child))


async def test_stop_sends_sigterm_and_kills_after_the_timeout(
    supervise: Supervise,
    script: Script,
    tmp_path: Path,
    is_alive: IsAlive,
    screen: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor_module, "STOP_TIMEOUT", 1)
    supervisor = supervise(script("normal", RUN), script("stubborn", IGNORE_SIGTERM), script("forking", FORK))
    await supervisor.start("normal", "stubborn", "forking")
    pids = await wait_for_pids(tmp_path / "normal.log", 1)
    pids += await wait_for_pids(tmp_path / "stubborn.log", 1)
    pids += await wait_for_pids(tmp_path / "forking.log", 2)
    await supervisor.stop("normal", "stubborn", "forking")
    assert not any(map(is_alive, pids))
    assert "stubborn does not stop within 1 s: it is killed" in screen.getvalue()
    assert "normal does not stop" not in screen.getvalue()


async def test_paused_process_can_be_stopped(
    supervise: Supervise, script: Script, tmp_path: Path, is_alive: IsAlive
) -> None:
    supervisor = supervise(script("orders", RUN))
    await supervisor.start("orders")
    [pid] = await wait_for_pids(tmp_path / "orders.log", 1)
    supervisor.signal("orders", signal.SIGSTOP)
    async with asyncio.timeout(3):
        await supervisor.stop("orders")
    assert not is_alive(pid)


async def test_process_gets_its_own_variables_and_those_of_the_start_and_no_others(
    supervise: Supervise, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "x")
    names = "('WORD', 'EXTRA', 'SECRET_OF_THE_SHELL')"
    code = f"import os, time; print([os.environ.get(n) for n in {names}], flush=True); time.sleep(3600)"
    supervisor = supervise(script("orders", code))
    await supervisor.start("orders", environment={"EXTRA": "1"})
    assert (tmp_path / "orders.log").read_text() == "['hello', '1', None]\n"


async def test_output_has_the_name_of_its_process_on_the_terminal_and_no_colours_in_the_log(
    supervise: Supervise, script: Script, tmp_path: Path, screen: io.StringIO
) -> None:
    long = "x" * 3_000_000
    code = f"print('\\x1b[31mred\\x1b[0m'); print('x' * {len(long)}); print('end', flush=True); {RUN}"
    supervisor = supervise(script("orders", code))
    await supervisor.start("orders")
    await wait_for_pids(tmp_path / "orders.log", 1)
    log = (tmp_path / "orders.log").read_text()
    assert log.startswith("red\n")
    assert log.replace("\n", "").count("x") == len(long)
    assert "orders     | red\n" in screen.getvalue()
    assert "orders     | end\n" in screen.getvalue()
