"""One stack and one browser for all tests of the site."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest_asyncio
from browser.site_pages import open_window
from playwright.async_api import Browser, Page
from stack_under_test import StackUnderTest, running_stack_under_test

from ticketing_common.testing.browser import launched_for_tests

OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def site(tmp_path_factory) -> AsyncIterator[StackUnderTest]:
    """A running stack with a payment window of one minute; at the end, Stripe's records must match ours."""
    async with running_stack_under_test(tmp_path_factory.mktemp("stack"), payment_window=60) as stack:
        yield stack


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    async with launched_for_tests() as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="package")
async def open_page(browser: Browser, site: StackUnderTest) -> AsyncIterator[OpenPage]:
    """Opens windows of visitors, and closes them after the test. Parameters as in `open_window`."""
    async with AsyncExitStack() as windows:

        async def open_page(user: httpx.AsyncClient | None = None, **options: Any) -> Page:
            return await windows.enter_async_context(open_window(browser, site.base_url, user, **options))

        yield open_page


@pytest_asyncio.fixture(autouse=True, loop_scope="package")
async def _money_agrees(request) -> AsyncIterator[None]:
    """After every test, the captured payments must match the complete orders.

    Overrides the fixture of the same name in infra/tests, whose tests use another event loop.
    """
    yield
    if "site" in request.fixturenames:
        await request.getfixturevalue("site").check_money()
