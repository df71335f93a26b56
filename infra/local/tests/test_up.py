"""What `make up` prints, how it stops, and that it leaves no process behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from ticketing_common.testing.servers import free_port

WaitUntil = Callable[..., None]
IsAlive = Callable[[int], bool]
Children = Callable[[int], list[int]]


class Up:
    """A running `make up`."""

    def __init__(self, data_dir: Path, children: Children, **environment: str) -> None:
        self.data_dir = data_dir
        self._children = children
        self.port = free_port()
        self._output = data_dir.with_suffix(".out").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("up_with_stand_ins.py"))],
            env={**os.environ, "PORT": str(self.port), "DATA_DIR": str(data_dir), **environment},
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    @property
    def screen(self) -> str:
        return self.data_dir.with_suffix(".out").read_text()

    @property
    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.screen
        return "Ready after" in self.screen

    @property
    def pids(self) -> list[int]:
        return self._children(self.process.pid)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._output.close()


@pytest.fixture
def up(tmp_path: Path, children: Children) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def up(**environment: str) -> Up:
        started.append(Up(tmp_path / "data", children, **environment))
        return started[-1]

    yield up
    for each in started:
        each.end()


def test_make_up_prints_what_is_ready_and_what_to_do_next(
    up: Callable[..., Up], wait_until: WaitUntil
) -> None:
    running = up()
    wait_until(lambda: running.is_ready)
    for name in [
        "redis",
        "stripe",
        "auth",
        "tickets",
        "orders",
        "payments",
        "expiration",
        "worker",
        "client",
        "ingress",
    ]:
        assert f"  {name:<10}  ready " in running.screen
    assert "demo@ticketing.dev lists 12 tickets" in running.screen
    assert f"http://localhost:{running.port}" in running.screen
    assert "make demo" in running.screen
    assert "\x1b" not in running.screen  # no colours in a file
    httpx.get(f"http://localhost:{running.port}/api/orders/hello")
    wait_until(lambda: "orders     | request: " in running.screen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_processes_in_order_and_leaves_none(
    up: Callable[..., Up], wait_until: WaitUntil, is_alive: IsAlive, number: signal.Signals
) -> None:
    running = up()
    wait_until(lambda: running.is_ready)
    pids = running.pids
    assert len(pids) == 10
    running.process.send_signal(number)
    assert running.process.wait(timeout=10) == 0
    assert not any(map(is_alive, pids))
    assert not (running.data_dir / "stack.env").exists()
    steps = [
        running.screen.index(f"stopping {name}") for name in ["ingress", "client", "auth", "stripe", "redis"]
    ]
    assert steps == sorted(steps)


def test_ctrl_c_during_the_start_leaves_no_process(
    up: Callable[..., Up], wait_until: WaitUntil, is_alive: IsAlive
) -> None:
    running = up(BREAK="orders")
    wait_until(lambda: len(running.pids) > 3)
    pids = running.pids
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=10) == 0
    assert not any(map(is_alive, pids))


def test_second_ctrl_c_kills_at_once(up: Callable[..., Up], wait_until: WaitUntil, is_alive: IsAlive) -> None:
    running = up(STUBBORN="1")
    wait_until(lambda: running.is_ready)
    pids = running.pids
    running.process.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping client" in running.screen)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=5) == 130  # without the second Ctrl-C: 10 s
    assert not any(map(is_alive, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="a feature of the Linux kernel")
def test_kill_9_of_make_up_leaves_no_process_and_the_next_start_succeeds(
    up: Callable[..., Up], wait_until: WaitUntil, is_alive: IsAlive
) -> None:
    running = up()
    wait_until(lambda: running.is_ready)
    pids = running.pids
    running.process.kill()
    wait_until(lambda: not any(map(is_alive, pids)))
    again = up()
    wait_until(lambda: again.is_ready)


def test_every_process_is_restarted_after_kill_9(up: Callable[..., Up], wait_until: WaitUntil) -> None:
    running = up()
    wait_until(lambda: running.is_ready)
    for pid in running.pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: running.screen.count("was killed by SIGKILL: it starts again") == 10)

    def all_serve() -> bool:
        try:
            paths = ["/", "/api/users/x", "/api/tickets", "/api/orders", "/api/payments/x"]
            return all(httpx.get(f"http://localhost:{running.port}{path}").is_success for path in paths)
        except httpx.TransportError:
            return False

    wait_until(all_serve)


def test_process_that_keeps_exiting_stops_make_up_with_its_name_and_log(
    up: Callable[..., Up], is_alive: IsAlive
) -> None:
    running = up(BREAK="tickets")
    assert running.process.wait(timeout=20) == 1
    assert "tickets died 5 times within 30 s; the last time it ended with exit status 3" in running.screen
    assert "cannot go on" in running.screen
    assert f"Look at {running.data_dir}/logs/tickets.log" in running.screen


def test_demo_without_a_stack_prints_how_to_start_one() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "ticketing_local.demo"],
        env={**os.environ, "PORT": str(free_port())},
        capture_output=True,
        text=True,
    )
    assert demo.returncode == 1
    assert "Start the stack with `make up`" in demo.stdout
    assert "Traceback" not in demo.stderr
