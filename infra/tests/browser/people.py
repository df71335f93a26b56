"""Visitors of the site, each with a window in which nothing may go wrong that the test does not expect."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page

SOON = 1000
"""Milliseconds in which what one visitor does must show on the others' pages."""
PASSWORD = "correct horse"
"""Of everybody who signed up by `Market.person`."""

VISA = "4242424242424242"
DECLINED = "4000000000000002"
WITHOUT_FUNDS = "4000000000009995"
ASKS_THE_BUYER = "4000002760003184"
"""By 3-D Secure."""


@asynccontextmanager
async def visitor(
    browser: Browser,
    base_url: str,
    person: httpx.AsyncClient | None = None,
    *,
    expecting: str | None = None,
    **context_options: Any,
) -> AsyncIterator[Page]:
    """A window of somebody's, signed in as `person` if given; further tabs are `page.context.new_page()`.

    No page of it may say anything on the console, break its security policy, or throw: but for what the
    regular expression `expecting` finds.
    """
    context = await browser.new_context(base_url=base_url, **context_options)
    context.set_default_timeout(5000)
    troubles: list[str] = []
    context.on("console", lambda said: said.type in ("error", "warning") and troubles.append(_where(said)))
    context.on("weberror", lambda thrown: troubles.append(f"{thrown.page.url}: {thrown.error}"))
    if person:
        await take_session(context, person)
    try:
        yield await context.new_page()
        unexpected = [each for each in troubles if not (expecting and re.search(expecting, each))]
        assert not unexpected, unexpected
    finally:
        await context.close()


def _where(said: ConsoleMessage) -> str:
    return f"{said.page and said.page.url}: {said.text}"


async def take_session(context: BrowserContext, person: httpx.AsyncClient) -> None:
    """Be signed in as this person, without the form."""
    url = str(person.base_url)
    await context.add_cookies([{"name": "session", "value": person.cookies["session"], "url": url}])


async def email_of(person: httpx.AsyncClient) -> str:
    answer = await person.get("/api/users/currentuser")
    return str(answer.json()["currentUser"]["email"])


async def offered(seller: httpx.AsyncClient, title: str, price: float = 19.99) -> str:
    """The id of a ticket that is now for sale."""
    answer = await seller.post("/api/tickets", json={"title": title, "price": price})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def link_to(page: Page, title: str) -> Locator:
    """To a ticket, in a list of them."""
    return page.get_by_role("main").get_by_role("link", name=title, exact=True)


def row_of(page: Page, title: str) -> Locator:
    """All that a list says of a ticket or an order."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("link", name=title, exact=True))


def heading(page: Page, text: str) -> Locator:
    return page.get_by_role("heading", level=1, name=text)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name)


async def send(page: Page, pressed: Locator) -> None:
    """Press a form's button, and return when the market has answered."""
    async with page.expect_response(lambda answer: answer.request.method in ("POST", "DELETE")):
        await pressed.click()


def card_fields(page: Page) -> tuple[Locator, Locator, Locator]:
    """Number, expiry and security code: in a frame of Stripe's."""
    frame = page.frame_locator('iframe[title="Secure card payment input frame"]')
    return frame.locator("[name=cardnumber]"), frame.locator("[name=exp-date]"), frame.locator("[name=cvc]")


async def type_card(page: Page, number: str = VISA) -> None:
    number_field, expiry, cvc = card_fields(page)
    await number_field.fill(number)
    await expiry.fill("12 / 34")
    await cvc.fill("123")


async def pay(page: Page, number: str = VISA) -> None:
    """Pay the order that the page shows."""
    await type_card(page, number)
    await button(page, "Pay $").click()
