"""One stack for all tests of the whole system. They use it through the ingress."""

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest_asyncio
from stack_under_test import StackUnderTest, running_stack_under_test

from ticketing_local.plan import Plan, plan_stack
from ticketing_local.settings import Settings

PAYMENT_WINDOW = 4
LONG_PAYMENT_WINDOW = 30
"""Seconds until an unpaid order expires."""


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def _shared_stack(tmp_path_factory) -> AsyncIterator[StackUnderTest]:
    async with running_stack_under_test(
        tmp_path_factory.mktemp("stack"), payment_window=PAYMENT_WINDOW, plan=_plan_with_failpoints
    ) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def stack(_shared_stack) -> AsyncIterator[StackUnderTest]:
    """The shared stack; unpaid orders expire after 4 seconds."""
    await _shared_stack.set_payment_window(PAYMENT_WINDOW)
    yield _shared_stack
    await _shared_stack.close_clients()


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def long_window_stack(_shared_stack) -> AsyncIterator[StackUnderTest]:
    """The shared stack; unpaid orders expire after 30 seconds."""
    await _shared_stack.set_payment_window(LONG_PAYMENT_WINDOW)
    yield _shared_stack
    await _shared_stack.close_clients()


@pytest_asyncio.fixture(autouse=True, loop_scope="package")
async def _money_agrees(request) -> AsyncIterator[None]:
    """After every test, the captured payments must match the complete orders."""
    yield
    for name in {"stack", "long_window_stack"} & set(request.fixturenames):
        await request.getfixturevalue(name).check_money()


def _plan_with_failpoints(settings: Settings, secrets: dict[str, str]) -> Plan:
    """Replaces payments by payments_with_failpoints.py."""
    planned = plan_stack(settings, secrets)
    script = Path(__file__).with_name("payments_with_failpoints.py")
    specs = [
        replace(
            spec,
            command=[sys.executable, "-P", str(script)],
            environment={**spec.environment, "FAILPOINT_FILE": str(settings.data_dir / "failpoint")},
        )
        if spec.name == "payments"
        else spec
        for spec in planned.processes
    ]
    return replace(planned, processes=specs)
