"""A real browser for tests: Debian's chromium, or another of its kind, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

# The first is Debian's chromium without windows: the same engine, and tests take a quarter less time.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_QUIETLY = [  # nothing but the pages it is sent to
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class BrowserMissing(Exception):
    """There is no browser; the text says how to get one."""


def find_chromium() -> str:
    """Where it is: CHROMIUM says, or it is on PATH. Raises BrowserMissing."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        raise BrowserMissing("no browser: `apt-get install chromium`, or set CHROMIUM to the path of one")
    return found


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Raises BrowserMissing."""
    path = find_chromium()
    # Its sandbox refuses root, who is who runs tests in a container.
    flags = [*_QUIETLY, "--no-sandbox"] if os.geteuid() == 0 else _QUIETLY
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        await browser.close()


@asynccontextmanager
async def launched_for_tests() -> AsyncIterator[Browser]:
    """For a fixture: without a browser its tests are skipped, in CI they fail."""
    import pytest

    try:
        async with launched() as browser:
            yield browser
    except BrowserMissing as missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(missing))
