"""`make up` as a person meets it: what it prints, how it stops, and that it leaves no process."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from ticketing_common.testing.servers import free_port

Until = Callable[..., None]
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
    def parts(self) -> list[int]:
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


def test_it_says_what_is_ready_and_what_to_do_next(up: Callable[..., Up], until: Until) -> None:
    market = up()
    until(lambda: market.is_ready)
    for part in [
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
        assert f"  {part:<10}  ready " in market.screen
    assert "demo@ticketing.dev lists 12 tickets" in market.screen
    assert f"http://localhost:{market.port}" in market.screen
    assert "make demo" in market.screen
    assert "\x1b" not in market.screen  # no colours in a file
    httpx.get(f"http://localhost:{market.port}/api/orders/hello")
    until(lambda: "orders     | asked: " in market.screen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stops_in_order_and_leaves_no_process(
    up: Callable[..., Up], until: Until, is_alive: IsAlive, number: signal.Signals
) -> None:
    market = up()
    until(lambda: market.is_ready)
    parts = market.parts
    assert len(parts) == 10
    market.process.send_signal(number)
    assert market.process.wait(timeout=10) == 0
    assert not any(map(is_alive, parts))
    assert not (market.data_dir / "stack.env").exists()
    steps = [
        market.screen.index(f"stopping {who}") for who in ["ingress", "client", "auth", "stripe", "redis"]
    ]
    assert steps == sorted(steps)


def test_it_stops_in_the_middle_of_its_start_too(
    up: Callable[..., Up], until: Until, is_alive: IsAlive
) -> None:
    market = up(BREAK="orders")
    until(lambda: len(market.parts) > 3)
    parts = market.parts
    market.process.send_signal(signal.SIGINT)
    assert market.process.wait(timeout=10) == 0
    assert not any(map(is_alive, parts))


def test_asked_twice_it_kills_at_once(up: Callable[..., Up], until: Until, is_alive: IsAlive) -> None:
    market = up(STUBBORN="1")
    until(lambda: market.is_ready)
    parts = market.parts
    market.process.send_signal(signal.SIGINT)
    until(lambda: "stopping client" in market.screen)
    market.process.send_signal(signal.SIGINT)
    assert market.process.wait(timeout=5) == 130  # they would have had 10 s
    assert not any(map(is_alive, parts))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does this")
def test_kill_9_of_make_up_itself_leaves_no_process_and_the_next_one_starts(
    up: Callable[..., Up], until: Until, is_alive: IsAlive
) -> None:
    market = up()
    until(lambda: market.is_ready)
    parts = market.parts
    market.process.kill()
    until(lambda: not any(map(is_alive, parts)))
    again = up()
    until(lambda: again.is_ready)


def test_kill_9_of_any_part_and_the_market_goes_on(up: Callable[..., Up], until: Until) -> None:
    market = up()
    until(lambda: market.is_ready)
    for part in market.parts:
        os.kill(part, signal.SIGKILL)
    until(lambda: market.screen.count("was killed by SIGKILL: it starts again") == 10)

    def all_serve() -> bool:
        try:
            paths = ["/", "/api/users/x", "/api/tickets", "/api/orders", "/api/payments/x"]
            return all(httpx.get(f"http://localhost:{market.port}{path}").is_success for path in paths)
        except httpx.TransportError:
            return False

    until(all_serve)


def test_a_part_that_keeps_dying_stops_it_with_its_name_and_what_to_look_at(
    up: Callable[..., Up], is_alive: IsAlive
) -> None:
    market = up(BREAK="tickets")
    assert market.process.wait(timeout=20) == 1
    assert "tickets died 5 times within 30 s; the last time it ended with exit status 3" in market.screen
    assert "cannot go on" in market.screen
    assert f"Look at {market.data_dir}/logs/tickets.log" in market.screen


def test_the_demo_without_a_market_says_how_to_start_one() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "ticketing_local.demo"],
        env={**os.environ, "PORT": str(free_port())},
        capture_output=True,
        text=True,
    )
    assert demo.returncode == 1
    assert "Start the stack with `make up`" in demo.stdout
    assert "Traceback" not in demo.stderr
