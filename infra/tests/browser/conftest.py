"""One market and one browser for all the tests of the site."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest_asyncio
from market import Market
from people import visitor
from playwright.async_api import Browser, Page

from ticketing_common.testing.browser import launched_for_tests
from ticketing_local.testing import running_stack

Visit = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def site(tmp_path_factory) -> AsyncIterator[Market]:
    """A market with a minute to pay; at the end its books must agree."""
    async with running_stack(tmp_path_factory.mktemp("market"), expiration_window_seconds=60) as stack:
        market = Market(stack)
        yield market
        await market.check_books()
        await market.close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    async with launched_for_tests() as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="package")
async def visit(browser: Browser, site: Market) -> AsyncIterator[Visit]:
    """Opens windows of visitors, and closes them after the test."""
    async with AsyncExitStack() as leaving:

        async def visit(person: httpx.AsyncClient | None = None, **how: Any) -> Page:
            return await leaving.enter_async_context(visitor(browser, site.stack.base_url, person, **how))

        yield visit


@pytest_asyncio.fixture(autouse=True, loop_scope="package")
async def _money_agrees(request) -> AsyncIterator[None]:
    """After every test the money must agree, whatever it did."""
    yield
    if "site" in request.fixturenames:
        await request.getfixturevalue("site").check_money()
