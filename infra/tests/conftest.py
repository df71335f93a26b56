"""The whole market for its tests: the parts of `make up`, driven through the ingress."""

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest_asyncio
from market import Market

from ticketing_local.plan import Plan, plan_parts
from ticketing_local.settings import Settings
from ticketing_local.testing import running_stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(tmp_path_factory) -> AsyncIterator[Market]:
    """A market whose orders expire after 4 seconds; at the end of the module its books must agree."""
    folder: Path = tmp_path_factory.mktemp("market")
    async with running_stack(folder, expiration_window_seconds=4) as stack:
        market = Market(stack)
        yield market
        await market.check_books()
        await market.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient_market(tmp_path_factory) -> AsyncIterator[Market]:
    """The same with 30 seconds to pay, and a payments service that dies where a test says."""
    folder: Path = tmp_path_factory.mktemp("market")
    async with running_stack(folder, expiration_window_seconds=30, plan=_with_failpoints) as stack:
        market = Market(stack)
        yield market
        await market.check_books()
        await market.close()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _money_agrees(request) -> AsyncIterator[None]:
    """After every test the money must agree, whatever it did."""
    yield
    for name in {"market", "patient_market"} & set(request.fixturenames):
        await request.getfixturevalue(name).check_money()


def _with_failpoints(settings: Settings, secrets: dict[str, str]) -> Plan:
    planned = plan_parts(settings, secrets)
    payments = next(part for part in planned.parts if part.name == "payments")
    mortal = replace(
        payments,
        command=[sys.executable, "-P", str(Path(__file__).with_name("dying_payments.py"))],
        environment={**payments.environment, "FAILPOINT_FILE": str(settings.data_dir / "failpoint")},
    )
    return replace(planned, parts=[mortal if part is payments else part for part in planned.parts])
