"""Browser windows of visitors, and the elements of the site's pages."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from api_calls import list_ticket, place_order
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, WebError, expect
from stack_under_test import StackUnderTest

LIVE_UPDATE_MS = 1000
"""Within this time, an action of one visitor shows on the pages of the others."""
PASSWORD = "correct horse"
"""The password of everyone signed up by `StackUnderTest.sign_up`."""

VISA = "4242424242424242"
DECLINED = "4000000000000002"
INSUFFICIENT_FUNDS = "4000000000009995"
REQUIRES_3D_SECURE = "4000002760003184"


@asynccontextmanager
async def open_window(
    browser: Browser,
    base_url: str,
    user: httpx.AsyncClient | None = None,
    *,
    allowed_errors: str | None = None,
    **context_options: Any,
) -> AsyncIterator[Page]:
    """Opens a window with its own session, signed in as `user` if given.

    `page.context.new_page()` opens another tab. The window fails the test if a page throws, violates its
    security policy or writes to the console, except for messages that match the regular expression
    `allowed_errors`.
    """
    context = await browser.new_context(base_url=base_url, **context_options)
    context.set_default_timeout(5000)
    errors: list[str] = []

    def record_message(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(f"{message.page and message.page.url}: {message.text}")

    def record_error(thrown: WebError) -> None:
        errors.append(f"{thrown.page and thrown.page.url}: {thrown.error}")

    context.on("console", record_message)
    context.on("weberror", record_error)
    if user:
        await set_session_cookie(context, user)
    try:
        yield await context.new_page()
        unexpected = [error for error in errors if not (allowed_errors and re.search(allowed_errors, error))]
        assert not unexpected, unexpected
    finally:
        await context.close()


async def set_session_cookie(context: BrowserContext, user: httpx.AsyncClient) -> None:
    """Signs the window in without the form."""
    url = str(user.base_url)
    await context.add_cookies([{"name": "session", "value": user.cookies["session"], "url": url}])


async def get_email(user: httpx.AsyncClient) -> str:
    response = await user.get("/api/users/currentuser")
    return str(response.json()["currentUser"]["email"])


@dataclass(frozen=True)
class Reservation:
    """An unpaid order of a ticket."""

    seller: httpx.AsyncClient
    buyer: httpx.AsyncClient
    ticket_id: str
    order_id: str

    @property
    def order_path(self) -> str:
        return f"/orders/{self.order_id}"


async def reserve_ticket(site: StackUnderTest, title: str, price: float = 19.99) -> Reservation:
    """Signs up a seller and a buyer; the buyer orders the seller's ticket."""
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, title, price)
    return Reservation(seller, buyer, ticket_id, (await place_order(buyer, ticket_id))["id"])


def ticket_link(page: Page, title: str) -> Locator:
    """The link to a ticket in a list."""
    return page.get_by_role("main").get_by_role("link", name=title, exact=True)


def list_row(page: Page, title: str) -> Locator:
    """The row of a ticket or an order in a list."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("link", name=title, exact=True))


def heading(page: Page, text: str) -> Locator:
    return page.get_by_role("heading", level=1, name=text)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name)


async def expect_live(page: Page, timeout_ms: float = 5000) -> None:
    """Waits until the list of tickets is connected to the event stream."""
    await expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=timeout_ms)


async def submit(page: Page, submit_button: Locator) -> None:
    """Clicks the button and waits for the response."""
    async with page.expect_response(lambda response: response.request.method in ("POST", "DELETE")):
        await submit_button.click()


async def fill_account_form(page: Page, email: str, password: str = PASSWORD) -> None:
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill(password)


async def fill_ticket_form(page: Page, title: str, price: str) -> None:
    await page.get_by_label("Title").fill(title)
    await page.get_by_label("Price").fill(price)


def card_fields(page: Page) -> tuple[Locator, Locator, Locator]:
    """Number, expiry and security code, in Stripe's frame."""
    frame = page.frame_locator('iframe[title="Secure card payment input frame"]')
    return frame.locator("[name=cardnumber]"), frame.locator("[name=exp-date]"), frame.locator("[name=cvc]")


async def enter_card(page: Page, number: str = VISA) -> None:
    number_field, expiry, cvc = card_fields(page)
    await number_field.fill(number)
    await expiry.fill("12 / 34")
    await cvc.fill("123")


async def pay_by_card(page: Page, number: str = VISA) -> None:
    """Pays the order on the page."""
    await enter_card(page, number)
    await button(page, "Pay $").click()
