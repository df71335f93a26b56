"""Clients of the server: the real stripe package, raw HTTP, and a browser."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Browser, ConsoleMessage, Error, Frame, FrameLocator, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from stripe import PaymentIntent, StripeClient

from stripe_stand_in.testing import StripeApi
from ticketing_common.testing.browser import launched_for_tests

_SITE = Path(__file__).parent / "site"


def client_of(api: StripeApi) -> StripeClient:
    return StripeClient(api.key, base_addresses={"api": api.url}, max_network_retries=0)


@pytest.fixture(name="client_of")
def _client_of() -> Callable[[StripeApi], StripeClient]:
    return client_of


@pytest.fixture
def client(stripe_api: StripeApi) -> StripeClient:
    return client_of(stripe_api)


@pytest.fixture
def http(stripe_api: StripeApi) -> Iterator[httpx.Client]:
    """For requests that the stripe package never sends, and for the headers that it hides."""
    headers = {"Authorization": f"Bearer {stripe_api.key}"}
    with httpx.Client(base_url=stripe_api.url, headers=headers) as client:
        yield client


@pytest.fixture
def create(client: StripeClient) -> Callable[..., PaymentIntent]:
    """Creates an intent of 19.99 dollars, with manual capture by default."""

    def create(**params: Any) -> PaymentIntent:
        intent: Any = {
            "amount": 1999,
            "currency": "usd",
            "payment_method_types": ["card"],
            "capture_method": "manual",
            **params,
        }
        return client.v1.payment_intents.create(intent)

    return create


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched_for_tests() as chromium:
        yield chromium


@dataclass
class Site:
    """Another origin, with a page (in the folder site) that accepts cards under a strict policy."""

    url: str
    requests: list[str] = field(default_factory=list)
    """Everything the site has received."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(stripe_api: StripeApi) -> AsyncIterator[Site]:
    listener = socket.create_server(("127.0.0.1", 0))
    site = Site(f"http://localhost:{listener.getsockname()[1]}")
    # The minimum that a page needs.
    policy = (
        f"default-src 'none'; script-src 'self' {stripe_api.url}; frame-src {stripe_api.url}; "
        "style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'"
    )

    async def serve(request: Request) -> Response:
        body = (await request.body()).decode()
        site.requests.append(f"{request.method} {request.url} {request.headers} {body}")
        headers = {"Content-Security-Policy": policy}
        if request.url.path == "/":
            page = (_SITE / "index.html").read_text().replace("STRIPE_JS", stripe_api.script)
            return Response(page, headers=headers, media_type="text/html")
        file = _SITE / request.url.path[1:]
        return FileResponse(file, headers=headers) if file.is_file() else Response(status_code=204)

    app = Starlette(routes=[Route("/{path:path}", serve, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield site
    server.should_exit = True
    await serving


class CardPage:
    """The site's page with a card Element; otherwise a page of Playwright's."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.problems: list[str] = []
        """Errors that the browser reported, such as violated policies and uncaught exceptions."""
        page.on("console", self._on_console)
        page.on("pageerror", self._on_error)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def _on_error(self, error: Error) -> None:
        self.problems.append(str(error))

    def remove_listeners(self) -> None:
        self._page.remove_listener("console", self._on_console)
        self._page.remove_listener("pageerror", self._on_error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._page, name)

    def card(self, container: str = "#card") -> FrameLocator:
        return self._page.frame_locator(f"{container} iframe")

    async def type_card(self, number: str = "4242424242424242", rest: str = "1234123") -> None:
        """Types the card like a buyer, who then leaves the fields."""
        await self.card().locator("[name=cardnumber]").fill(number)
        await self.card().locator("[name=exp-date]").focus()
        await self._page.keyboard.type(rest)
        await self._page.locator("#pay").focus()
        await self.until("events.some(([, event]) => event === 'blur')")

    async def clear_card(self) -> None:
        await self._page.evaluate("events.length = 0; card.unmount(); card.mount('#card')")
        await self.until("events.some(([, event]) => event === 'ready')")

    async def until(self, condition: str) -> None:
        """Playwright's wait_for_function evaluates text in the page, which the policy forbids."""
        await self._page.evaluate(f"until(() => {condition})")

    async def events(self, element: str, event: str) -> list[Any]:
        recorded = await self._page.evaluate("events")
        return [detail for name, kind, detail in recorded if (name, kind) == (element, event)]

    async def classes(self) -> set[str]:
        names = await self._page.locator("#card").evaluate("container => [...container.classList]")
        return set(names) - {"box"}


OpenPage = Callable[..., Awaitable[CardPage]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(browser: Browser) -> Page:
    """One page for all tests, as a new one takes a second."""
    return await browser.new_page()


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(tab: Page, stripe_api: StripeApi, site: Site) -> AsyncIterator[OpenPage]:
    """Opens the page again. At the end it must have no problems; a test clears those that it expects."""
    page = CardPage(tab)

    async def open_page(
        options: dict[str, Any] | None = None, *, key: str = stripe_api.publishable_key, width: int = 600
    ) -> CardPage:
        await page.set_viewport_size({"width": width, "height": 500})
        await page.goto(site.url)
        given = {"hidePostalCode": True} if options is None else options
        await page.evaluate("([key, options]) => mountCard(key, options)", [key, given])
        await page.until("events.some(([, event]) => event === 'ready')")
        return page

    yield open_page
    stripe_api.clear_faults()
    page.remove_listeners()
    assert page.problems == []


@pytest.fixture(scope="session")
def axe() -> Callable[[Frame], Awaitable[list[str]]]:
    """Returns the violations of accessibility rules that axe finds."""
    script = Path(AXE_FILE_PATH).read_text()
    rules = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}"

    async def violations(frame: Frame) -> list[str]:
        await frame.evaluate(script)
        found = await frame.evaluate(f"axe.run({rules})")
        return [f"{rule['id']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]]

    return violations
