"""Fixtures of the tests of the local stack."""

import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ticketing_local.stack import Planner

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def with_stand_ins() -> Planner:
    """A planner with stand-ins for the services. Loaded by path: importlib mode has no test modules."""
    spec = importlib.util.spec_from_file_location("up_with_stand_ins", HERE / "up_with_stand_ins.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plan: Planner = module.with_stand_ins
    return plan


def processes() -> Iterator[tuple[int, int, str]]:
    """The id, the parent's id and the state of each process on this machine (source: proc_pid_stat(5))."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:  # it has just ended
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]  # the name before it may contain spaces
        yield int(folder.name), int(parent), state


@pytest.fixture
def children() -> Callable[[int], list[int]]:
    def children(pid: int) -> list[int]:
        return [each for each, parent, _ in processes() if parent == pid]

    return children


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    def is_alive(pid: int) -> bool:
        return any(each == pid and state != "Z" for each, _, state in processes())  # Z: a zombie

    return is_alive


@pytest.fixture
def wait_until() -> Callable[..., None]:
    def wait_until(condition: Callable[[], object], timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not so after {timeout:g} s"
            time.sleep(0.05)

    return wait_until
