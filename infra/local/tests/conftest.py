"""What the tests of the local stack share."""

import importlib.util
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ticketing_local.stack import Planner

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def with_stand_ins() -> Planner:
    """A plan whose services are stand-ins. (By path: in importlib mode tests cannot import each other.)"""
    spec = importlib.util.spec_from_file_location("up_with_stand_ins", HERE / "up_with_stand_ins.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plan: Planner = module.with_stand_ins
    return plan


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    def is_alive(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
        return bool(state) and not state.startswith("Z")  # a zombie waits only to be counted

    return is_alive


@pytest.fixture
def until() -> Callable[..., None]:
    def until(condition: Callable[[], object], within: float = 10) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.05)

    return until
