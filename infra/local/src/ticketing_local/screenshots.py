"""`make screenshots`: every page of the site, on a phone and a desktop, light and dark, into a folder."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Literal

import httpx
from playwright.async_api import Browser, Page

from ticketing_common.auth import COOKIE
from ticketing_common.testing.browser import BrowserMissing, launched
from ticketing_local.errors import StackError
from ticketing_local.market import (
    Refused,
    eventually,
    list_ticket,
    order,
    pay,
    refund,
    see_order,
    sign_up,
    visitor,
)
from ticketing_local.testing import running_stack

FOLDER = Path("screenshots")
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

Paths = dict[str, str]
"""By the name of the picture."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    try:
        asyncio.run(shoot())
    except (BrowserMissing, StackError) as error:
        sys.exit(f"No pictures: {error}")
    print(f"They are in {FOLDER.absolute()}")


async def shoot() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print("Starting a market with people in it")
        async with (
            launched() as browser,
            running_stack(Path(folder), seed=True) as stack,
            visitor(stack.base_url) as anybody,
            visitor(stack.base_url) as ada,
        ):
            public, own = await _populate(anybody, ada)
            for size in SIZES:
                for scheme in SCHEMES:
                    print(f"  {size}, {scheme}: {len(public | own)} pages")
                    await _shoot_all(browser, stack.base_url, public, None, size, scheme)
                    await _shoot_all(browser, stack.base_url, own, ada.cookies[COOKIE], size, scheme)


async def _populate(seller: httpx.AsyncClient, ada: httpx.AsyncClient) -> tuple[Paths, Paths]:
    """What there is to see: for anybody, and for Ada, who both buys and sells."""
    await sign_up(ada, "ada@example.com", "correct horse")
    await sign_up(seller, "sam@example.com", "correct horse")

    async def offer(who: httpx.AsyncClient, title: str, price: float) -> str:
        return str((await list_ticket(who, title, price))["id"])

    async def bought(buyer: httpx.AsyncClient, ticket: str, token: str = "tok_visa") -> str:
        made = await order(buyer, ticket)
        try:
            await pay(buyer, made["id"], token)
        except Refused as declined:
            if declined.status != 400:
                raise
        await eventually(
            lambda: see_order(buyer, made["id"]), lambda seen: seen["status"] != "created", "decided"
        )
        return str(made["id"])

    hers = await offer(ada, "Patti Smith, Brixton Academy, standing", 48.00)
    await bought(seller, await offer(ada, "Arsenal v Spurs, clock end, row 12", 85.00))
    await order(seller, await offer(ada, "The Nutcracker, Coliseum, dress circle", 62.50))
    paid = await bought(ada, await offer(seller, "Nick Cave, Royal Albert Hall, arena 7", 89.50))
    declined = await bought(ada, await offer(seller, "Macbeth, Almeida, A12", 45.00), "tok_chargeDeclined")
    returned = await bought(ada, await offer(seller, "Fleabag, Wyndham's, stalls D4", 37.50))
    await refund(seller, returned)
    taken = await offer(seller, "Stewart Lee, Leicester Square Theatre", 22.00)
    open_order = str((await order(ada, taken))["id"])
    public = {
        "front": "/",
        "search": "/?q=opera",
        "ticket": f"/tickets/{hers}",
        "ticket-reserved": f"/tickets/{taken}",
        "sign-in": "/auth/signin",
        "sign-up": "/auth/signup",
        "not-found": "/nothing",
    }
    own = {
        "sell": "/tickets/new",
        "edit": f"/tickets/{hers}/edit",
        "ticket-own": f"/tickets/{hers}",
        "ticket-held-for-me": f"/tickets/{taken}",
        "order-to-pay": f"/orders/{open_order}",
        "order-paid": f"/orders/{paid}",
        "order-declined": f"/orders/{declined}",
        "order-refunded": f"/orders/{returned}",
        "orders": "/orders",
        "sales": "/sales",
        "sales-reserved": "/sales?show=reserved",
        "sales-sold": "/sales?show=sold",
        "sales-refunded": "/sales?show=refunded",
        "sign-out": "/auth/signout",
    }
    return public, own


async def _shoot_all(
    browser: Browser,
    base_url: str,
    paths: Paths,
    session: str | None,
    size: str,
    scheme: Literal["light", "dark"],
) -> None:
    width, height = SIZES[size]
    context = await browser.new_context(base_url=base_url, color_scheme=scheme)
    if session:
        await context.add_cookies([{"name": COOKIE, "value": session, "url": base_url}])
    page = await context.new_page()
    for name, path in paths.items():
        await page.set_viewport_size({"width": width, "height": height})
        await page.goto(path)
        await _settle(page)
        # As high a window as the page is: in a picture of all that is scrolled to, the tabs lie over it.
        whole = await page.evaluate("document.scrollingElement.scrollHeight")
        await page.set_viewport_size({"width": width, "height": whole})
        await page.screenshot(path=FOLDER / f"{name}-{size}-{scheme}.png")
    await context.close()


async def _settle(page: Page) -> None:
    """Until the typefaces are there, and the card form, where there is one."""
    await page.evaluate("document.fonts.ready")
    if await page.locator("#pay").count():
        await page.locator("#pay-form, #pay-unloaded").locator("visible=true").first.wait_for()
        await page.wait_for_timeout(300)  # ms: its frame draws itself


if __name__ == "__main__":
    main()
