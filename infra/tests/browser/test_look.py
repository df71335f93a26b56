"""Accessibility and layout of every page, in every window size and colour scheme."""

from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from api_calls import (
    list_ticket,
    place_order,
    post_payment,
    post_refund,
    wait_for_order_status,
    wait_for_reservation,
)
from browser.accessibility import PHONE, check_accessibility
from browser.site_pages import button, enter_card, heading, list_row, open_window, ticket_link
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

SMALL = {"width": 320, "height": 640}
LARGE = {"width": 1920, "height": 1080}
LONG_TITLE = "Donaudampfschifffahrtsgesellschaftskapitän" * 4
"""One word, which cannot wrap."""

PAGES = [
    ("anonymous", "/"),
    ("anonymous", "/?q=nothing+of+the+kind"),
    ("anonymous", "/tickets/{free}"),
    ("anonymous", "/tickets/{reserved}"),
    ("anonymous", "/tickets/{sold}"),
    ("anonymous", "/auth/signin?next=/orders"),
    ("anonymous", "/auth/signup"),
    ("anonymous", "/nowhere"),
    ("newcomer", "/orders"),
    ("newcomer", "/sales"),
    ("newcomer", "/sales?show=sold"),
    ("buyer", "/tickets/{free}"),
    ("buyer", "/tickets/{reserved}"),
    ("buyer", "/orders"),
    ("buyer", "/orders/{created}"),
    ("buyer", "/orders/{complete}"),
    ("buyer", "/orders/{cancelled}"),
    ("buyer", "/orders/{failed}"),
    ("buyer", "/orders/{refunded}"),
    ("buyer", "/orders/{of_another}"),
    ("buyer", "/auth/signout"),
    ("seller", "/tickets/{free}"),
    ("seller", "/tickets/new"),
    ("seller", "/tickets/{free}/edit"),
    ("seller", "/tickets/{reserved}/edit"),
    ("seller", "/sales"),
    ("seller", "/sales?show=reserved"),
    ("seller", "/sales?show=sold"),
    ("seller", "/sales?show=refunded"),
]
FORMS = [
    ("anonymous", "/auth/signin", "Sign in"),
    ("anonymous", "/auth/signup", "Sign up"),
    ("seller", "/tickets/new", "List for sale"),
]
"""The third value is the submit button."""


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def examples(site):
    """Users, and the ids of their tickets and orders in every state."""
    seller, buyer, newcomer = [await site.sign_up() for _ in range(3)]
    ids = {"free": await list_ticket(seller, LONG_TITLE)}
    for state in ("created", "complete", "cancelled", "failed", "refunded"):
        ticket_id = await list_ticket(seller, f"Gala, {state}", 999_999.99)
        ids[state] = (await place_order(buyer, ticket_id))["id"]
        ids |= {"reserved": ticket_id} if state == "created" else {}
        ids |= {"sold": ticket_id} if state == "complete" else {}
    for state in ("complete", "refunded", "failed"):
        await post_payment(buyer, ids[state], "tok_chargeDeclined" if state == "failed" else "tok_visa")
    await wait_for_order_status(buyer, ids["refunded"], "complete")
    await post_refund(seller, ids["refunded"])
    await buyer.delete(f"/api/orders/{ids['cancelled']}")
    await wait_for_order_status(buyer, ids["complete"], "complete")
    await wait_for_reservation(buyer, ids["reserved"], ids["created"])
    ids["of_another"] = (await place_order(newcomer, await list_ticket(seller, "Gala")))["id"]
    return {"anonymous": None, "seller": seller, "buyer": buyer, "newcomer": await site.sign_up()}, ids


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def open_example(browser, site, examples):
    """Opens a page as one of the example users; each has one window."""
    users, ids = examples
    windows = {}
    async with AsyncExitStack() as stack:

        async def open_example(who, path):
            if who not in windows:
                window = open_window(browser, site.base_url, users[who], allowed_errors="status of 40[014]")
                windows[who] = await stack.enter_async_context(window)
            await windows[who].goto(path.format(**ids))
            return windows[who]

        yield open_example


@pytest.mark.parametrize(("who", "path"), PAGES)
async def test_page_is_accessible_and_fits_any_window(open_example, who, path):
    page = await open_example(who, path)
    if path == "/orders/{created}":
        await expect(button(page, "Pay $")).to_be_visible()
    await check_accessibility(page)
    await check_layout(page)


@pytest.mark.parametrize(("who", "path", "name"), FORMS)
async def test_form_with_errors_is_accessible_and_fits_any_window(open_example, who, path, name):
    page = await open_example(who, path)
    await button(page, name).click()
    await expect(page.locator("[aria-invalid], [role=alert]").first).to_be_visible()
    await check_accessibility(page)
    await check_layout(page)


async def check_layout(page):
    """The page does not scroll sideways, and on a phone every button is at least 44 pixels high."""
    for size in (SMALL, LARGE):
        await page.set_viewport_size(size)
        overflowing_nodes = await page.evaluate(_OVERFLOWING_NODES)
        assert not await page.evaluate("document.scrollingElement.scrollWidth > innerWidth"), (
            overflowing_nodes
        )
    await page.set_viewport_size(SMALL)
    assert await page.evaluate(_SMALL_TARGETS) == []


_OVERFLOWING_NODES = """() => [...document.querySelectorAll("body *")]
  .filter((node) => node.getBoundingClientRect().right > innerWidth)
  .map((node) => node.outerHTML.slice(0, 100))"""
_SMALL_TARGETS = """() => [...document.querySelectorAll("button, .button, nav a, summary, input")]
  .filter((node) => node.checkVisibility())
  .map((node) => [node.textContent.trim(), node.getBoundingClientRect().height])
  .filter(([, height]) => height < 44)"""


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
async def test_page_follows_the_preferred_colour_scheme(open_page, scheme, is_dark):
    page = await open_page(color_scheme=scheme)
    await page.goto("/")
    colours = await page.evaluate("""() => {
      const { backgroundColor, color } = getComputedStyle(document.body);
      return [backgroundColor, color].map((each) => each.match(/\\d+/g).slice(0, 3).map(Number));
    }""")
    background, text = map(sum, colours)
    assert (background < text) == is_dark
    assert abs(background - text) > 255


async def test_ticket_is_bought_on_a_phone(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    await list_ticket(seller, "Capriccio on the phone")
    page = await open_page(buyer, viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=3)
    await page.goto("/")
    await page.get_by_role("searchbox").fill("capriccio phone")
    await button(page, "Search").tap()
    await ticket_link(page, "Capriccio on the phone").tap()
    await button(page, "Buy now").tap()
    await enter_card(page)
    await button(page, "Pay $").tap()
    await expect(heading(page, "yours")).to_be_visible()
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Orders").tap()
    await expect(list_row(page, "Capriccio on the phone")).to_contain_text("Paid")
