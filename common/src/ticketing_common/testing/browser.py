"""A real browser for tests: Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

# The first one is Debian's headless Chromium: the same engine, and tests are a quarter faster.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_FLAGS = [  # no requests but those of the pages under test
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class BrowserMissing(Exception):
    """There is no browser; the message says how to install one."""


def find_chromium() -> str:
    """The path in CHROMIUM, else of a browser on PATH. Raises BrowserMissing."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        raise BrowserMissing("no browser: `apt-get install chromium`, or set CHROMIUM to the path of one")
    return found


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Raises BrowserMissing."""
    path = find_chromium()
    # The sandbox does not work for root, which runs the tests in a container.
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else _FLAGS
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        await browser.close()


@asynccontextmanager
async def launched_for_tests() -> AsyncIterator[Browser]:
    """For a fixture: without a browser its tests are skipped; in CI they fail."""
    import pytest

    try:
        async with launched() as browser:
            yield browser
    except BrowserMissing as missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(missing))
