"""The supervisor: restarts what dies, gives up on what keeps dying, and leaves no process."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ticketing_local import supervisor as supervision
from ticketing_local.console import Console
from ticketing_local.errors import StackError
from ticketing_local.process import Part
from ticketing_local.supervisor import Supervisor

IsAlive = Callable[[int], bool]
Start = Callable[..., Supervisor]

LIVES = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(3600)"
DIES = "print('I cannot find my shoes'); raise SystemExit(3)"
FORKS = f"import os; os.fork(); {LIVES}"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LIVES}"


def script(name: str, code: str) -> Part:
    return Part(name, [sys.executable, "-S", "-c", code], {"PATH": os.environ["PATH"], "WORD": "hello"})


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
async def start(tmp_path: Path, screen: io.StringIO) -> AsyncIterator[Start]:
    started: list[Supervisor] = []

    def start(*parts: Part, restarts: bool = True) -> Supervisor:
        console = Console(screen)
        console.shows_logs = True
        started.append(Supervisor(parts, tmp_path, console, restarts=restarts))
        return started[-1]

    yield start
    for supervisor in started:
        await supervisor.kill(*supervisor.names)


async def pids(log: Path, count: int) -> list[int]:
    """The processes that a part has named in its log, once there are so many."""
    found: list[int] = []

    def named() -> bool:
        found[:] = [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("pid")]
        return len(found) >= count

    await until(named)
    return found


async def until(condition: Callable[[], bool], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - other processes have no Event for us
            await asyncio.sleep(0.02)


async def test_a_part_that_is_killed_starts_again_and_is_named(
    start: Start, tmp_path: Path, screen: io.StringIO
) -> None:
    supervisor = start(script("orders", LIVES))
    await supervisor.start("orders")
    [first] = await pids(tmp_path / "orders.log", 1)
    os.kill(first, signal.SIGKILL)
    _, second = await pids(tmp_path / "orders.log", 2)
    assert first != second
    assert "orders was killed by SIGKILL: it starts again in 0.5 s" in screen.getvalue()


async def test_a_part_that_keeps_dying_is_given_up_and_its_last_words_are_shown(
    start: Start, tmp_path: Path
) -> None:
    supervisor = start(script("orders", DIES), script("auth", LIVES))

    async def run() -> None:
        await supervisor.start("orders", "auth")
        await supervisor.wait_for_failure()

    with pytest.raises(StackError) as given_up:
        await run()
    message = str(given_up.value)
    assert "orders died 5 times within 30 s; the last time it ended with exit status 3" in message
    assert "I cannot find my shoes" in message
    assert str(tmp_path / "orders.log") in message


async def test_without_restarts_a_part_that_dies_before_it_is_ready_is_an_error(start: Start) -> None:
    async def never() -> bool:
        return False

    part = script("orders", DIES)
    supervisor = start(Part(part.name, part.command, part.environment, never), restarts=False)
    with pytest.raises(StackError, match="orders ended with exit status 3 before it was ready") as error:
        await supervisor.start("orders")
    assert "I cannot find my shoes" in str(error.value)


async def test_a_program_that_does_not_exist_is_an_error_at_once(start: Start) -> None:
    supervisor = start(Part("orders", ["/no/such/program"], {}))
    with pytest.raises(StackError, match=r"orders cannot be run: .*No such file"):
        await supervisor.start("orders")


async def test_a_part_that_is_never_ready_is_an_error_in_the_end(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> bool:
        return False

    monkeypatch.setattr(supervision, "START_TIMEOUT", 0.5)
    part = script("orders", LIVES)
    supervisor = start(Part(part.name, part.command, part.environment, never))
    with pytest.raises(StackError, match=r"orders not ready after 0\.5 s"):
        await supervisor.start("orders")


async def test_a_killed_part_stays_dead_until_it_is_started(
    start: Start, tmp_path: Path, is_alive: IsAlive
) -> None:
    supervisor = start(script("orders", LIVES))
    await supervisor.start("orders")
    [first] = await pids(tmp_path / "orders.log", 1)
    await supervisor.kill("orders")
    assert not is_alive(first)
    await asyncio.sleep(0.8)  # longer than the delay of a restart
    assert len(await pids(tmp_path / "orders.log", 1)) == 1
    await supervisor.start("orders")
    assert len(await pids(tmp_path / "orders.log", 2)) == 2


async def test_what_a_part_has_forked_dies_with_it(start: Start, tmp_path: Path, is_alive: IsAlive) -> None:
    supervisor = start(script("worker", FORKS), restarts=False)
    await supervisor.start("worker")
    parent, child = sorted(await pids(tmp_path / "worker.log", 2))
    os.kill(parent, signal.SIGKILL)
    await until(lambda: not is_alive(child))


async def test_stop_asks_first_and_then_kills(
    start: Start, tmp_path: Path, is_alive: IsAlive, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "STOP_TIMEOUT", 1)
    supervisor = start(script("polite", LIVES), script("stubborn", STUBBORN), script("forking", FORKS))
    await supervisor.start("polite", "stubborn", "forking")
    processes = await pids(tmp_path / "polite.log", 1)
    processes += await pids(tmp_path / "stubborn.log", 1)
    processes += await pids(tmp_path / "forking.log", 2)
    await supervisor.stop("polite", "stubborn", "forking")
    assert not any(map(is_alive, processes))
    assert "stubborn does not stop within 1 s: it is killed" in screen.getvalue()
    assert "polite does not stop" not in screen.getvalue()


async def test_a_paused_part_can_be_stopped(start: Start, tmp_path: Path, is_alive: IsAlive) -> None:
    supervisor = start(script("orders", LIVES))
    await supervisor.start("orders")
    [pid] = await pids(tmp_path / "orders.log", 1)
    supervisor.signal("orders", signal.SIGSTOP)
    async with asyncio.timeout(3):
        await supervisor.stop("orders")
    assert not is_alive(pid)


async def test_a_part_is_told_its_own_environment_and_what_its_start_adds(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "x")
    names = "('WORD', 'EXTRA', 'SECRET_OF_THE_SHELL')"
    tells = f"import os, time; print([os.environ.get(n) for n in {names}], flush=True); time.sleep(3600)"
    supervisor = start(script("orders", tells))
    await supervisor.start("orders", environment={"EXTRA": "1"})
    assert (tmp_path / "orders.log").read_text() == "['hello', '1', None]\n"


async def test_each_line_on_the_screen_bears_its_part_and_the_file_is_plain(
    start: Start, tmp_path: Path, screen: io.StringIO
) -> None:
    long = "x" * 3_000_000
    speaks = f"print('\\x1b[31mred\\x1b[0m'); print('x' * {len(long)}); print('end', flush=True); {LIVES}"
    supervisor = start(script("orders", speaks))
    await supervisor.start("orders")
    await pids(tmp_path / "orders.log", 1)
    log = (tmp_path / "orders.log").read_text()
    assert log.startswith("red\n")
    assert log.replace("\n", "").count("x") == len(long)
    assert "orders     | red\n" in screen.getvalue()
    assert "orders     | end\n" in screen.getvalue()
