"""`make screenshots`: a picture of every page of the site, on a phone and a desktop, light and dark."""

import asyncio
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Literal

import httpx
from playwright.async_api import Page

from ticketing_common.http.sessions import COOKIE
from ticketing_common.testing.browser import BrowserMissing, launched
from ticketing_local.api import Refused, eventually, get, list_ticket, new_client, order, pay, refund, sign_up
from ticketing_local.errors import StackError
from ticketing_local.testing import running_stack

FOLDER = Path("screenshots")
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

Pages = dict[str, str]
"""The path of each page, by the name of its picture."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    try:
        asyncio.run(take_screenshots())
    except (BrowserMissing, StackError) as error:
        sys.exit(f"No screenshots were taken: {error}")
    print(f"The screenshots are in {FOLDER.absolute()}")


async def take_screenshots() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print("Starting a stack with demo data")
        async with (
            launched() as browser,
            running_stack(Path(folder), seed=True) as stack,
            new_client(stack.base_url) as sam,
            new_client(stack.base_url) as ada,
        ):
            public, own = await _create_orders(sam, ada)
            for size, scheme in itertools.product(SIZES, SCHEMES):
                print(f"  {size}, {scheme}: {len(public | own)} pages")
                for pages, session in [(public, None), (own, ada.cookies[COOKIE])]:
                    context = await browser.new_context(base_url=stack.base_url, color_scheme=scheme)
                    if session:
                        await context.add_cookies([{"name": COOKIE, "value": session, "url": stack.base_url}])
                    await _visit(await context.new_page(), pages, size, scheme)
                    await context.close()


async def _create_orders(sam: httpx.AsyncClient, ada: httpx.AsyncClient) -> tuple[Pages, Pages]:
    """Create an order in every state; return the public pages, and Ada's, who both buys and sells."""
    await sign_up(ada, "ada@example.com", "correct horse")
    await sign_up(sam, "sam@example.com", "correct horse")

    async def sell(seller: httpx.AsyncClient, title: str, price: float) -> str:
        return str((await list_ticket(seller, title, price))["id"])

    async def buy(buyer: httpx.AsyncClient, ticket: str, token: str = "tok_visa") -> str:
        path = f"/api/orders/{(placed := await order(buyer, ticket))['id']}"
        try:
            await pay(buyer, placed["id"], token)
        except Refused as declined:
            if declined.status != 400:
                raise
        await eventually(lambda: get(buyer, path), lambda seen: seen["status"] != "created", "it is decided")
        return str(placed["id"])

    listed = await sell(ada, "Patti Smith, Brixton Academy, standing", 48.00)
    await buy(sam, await sell(ada, "Arsenal v Spurs, clock end, row 12", 85.00))
    await order(sam, await sell(ada, "The Nutcracker, Coliseum, dress circle", 62.50))
    paid = await buy(ada, await sell(sam, "Nick Cave, Royal Albert Hall, arena 7", 89.50))
    declined = await buy(ada, await sell(sam, "Macbeth, Almeida, A12", 45.00), "tok_chargeDeclined")
    refunded = await buy(ada, await sell(sam, "Fleabag, Wyndham's, stalls D4", 37.50))
    await refund(sam, refunded)
    reserved = await sell(sam, "Stewart Lee, Leicester Square Theatre", 22.00)
    open_order = (await order(ada, reserved))["id"]
    public = {
        "front": "/",
        "search": "/?q=opera",
        "ticket": f"/tickets/{listed}",
        "ticket-reserved": f"/tickets/{reserved}",
        "sign-in": "/auth/signin",
        "sign-up": "/auth/signup",
        "not-found": "/nothing",
    }
    own = {
        "sell": "/tickets/new",
        "edit": f"/tickets/{listed}/edit",
        "ticket-own": f"/tickets/{listed}",
        "ticket-held-for-me": f"/tickets/{reserved}",
        "order-to-pay": f"/orders/{open_order}",
        "order-paid": f"/orders/{paid}",
        "order-declined": f"/orders/{declined}",
        "order-refunded": f"/orders/{refunded}",
        "orders": "/orders",
        "sales": "/sales",
        "sales-reserved": "/sales?show=reserved",
        "sales-sold": "/sales?show=sold",
        "sales-refunded": "/sales?show=refunded",
        "sign-out": "/auth/signout",
    }
    return public, own


async def _visit(page: Page, pages: Pages, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    for name, path in pages.items():
        await page.set_viewport_size({"width": width, "height": height})
        await page.goto(path)
        await page.evaluate("document.fonts.ready")
        if await page.locator("#pay").count():
            await page.locator("#pay-form, #pay-unloaded").locator("visible=true").first.wait_for()
            await page.wait_for_timeout(300)  # ms: the frame of the card form is drawn later
        # A window as high as the page: in a picture of a scrolled page, the tab bar covers some of it.
        page_height = await page.evaluate("document.scrollingElement.scrollHeight")
        await page.set_viewport_size({"width": width, "height": page_height})
        await page.screenshot(path=FOLDER / f"{name}-{size}-{scheme}.png")


if __name__ == "__main__":
    main()
