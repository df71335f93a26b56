"""How pages look: for everybody, in every window, by day and by night."""

from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from accessibility import PHONE, accessible
from market import ordered, pay, refund, until_held, until_status
from people import button, heading, link_to, offered, row_of, type_card, visitor
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

SMALL = {"width": 320, "height": 640}
LARGE = {"width": 1920, "height": 1080}
LONG = "Donaudampfschifffahrtsgesellschaftskapitän" * 4
"""A title that can't be broken."""

PAGES = [
    ("nobody", "/"),
    ("nobody", "/?q=nothing+of+the+kind"),
    ("nobody", "/tickets/{free}"),
    ("nobody", "/tickets/{held}"),
    ("nobody", "/tickets/{sold}"),
    ("nobody", "/auth/signin?next=/orders"),
    ("nobody", "/auth/signup"),
    ("nobody", "/nowhere"),
    ("newcomer", "/orders"),
    ("newcomer", "/sales"),
    ("newcomer", "/sales?show=sold"),
    ("buyer", "/tickets/{free}"),
    ("buyer", "/tickets/{held}"),
    ("buyer", "/orders"),
    ("buyer", "/orders/{created}"),
    ("buyer", "/orders/{complete}"),
    ("buyer", "/orders/{cancelled}"),
    ("buyer", "/orders/{failed}"),
    ("buyer", "/orders/{refunded}"),
    ("buyer", "/orders/{others}"),
    ("buyer", "/auth/signout"),
    ("seller", "/tickets/{free}"),
    ("seller", "/tickets/new"),
    ("seller", "/tickets/{free}/edit"),
    ("seller", "/tickets/{held}/edit"),
    ("seller", "/sales"),
    ("seller", "/sales?show=reserved"),
    ("seller", "/sales?show=sold"),
    ("seller", "/sales?show=refunded"),
]
FORMS = [
    ("nobody", "/auth/signin", "Sign in"),
    ("nobody", "/auth/signup", "Sign up"),
    ("seller", "/tickets/new", "List for sale"),
]
"""With the button that sends them."""


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def gallery(site):
    """People, and the ids of their tickets and orders in every state there is."""
    seller, buyer, newcomer = [await site.person() for _ in range(3)]
    ids = {"free": await offered(seller, LONG)}
    for state in ("created", "complete", "cancelled", "failed", "refunded"):
        ticket_id = await offered(seller, f"Gala, {state}", 999_999.99)
        ids[state] = (await ordered(buyer, ticket_id))["id"]
        ids |= {"held": ticket_id} if state == "created" else {}
        ids |= {"sold": ticket_id} if state == "complete" else {}
    for state in ("complete", "refunded", "failed"):
        await pay(buyer, ids[state], "tok_chargeDeclined" if state == "failed" else "tok_visa")
    await until_status(buyer, ids["refunded"], "complete")
    await refund(seller, ids["refunded"])
    await buyer.delete(f"/api/orders/{ids['cancelled']}")
    await until_status(buyer, ids["complete"], "complete")
    await until_held(buyer, ids["held"], ids["created"])
    ids["others"] = (await ordered(newcomer, await offered(seller, "Gala")))["id"]
    return {"nobody": None, "seller": seller, "buyer": buyer, "newcomer": await site.person()}, ids


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def look_at(browser, site, gallery):
    """Opens a page as one of the gallery's people, who each have one window."""
    people, ids = gallery
    windows = {}
    async with AsyncExitStack() as leaving:

        async def look_at(who, path):
            if who not in windows:
                window = visitor(browser, site.stack.base_url, people[who], expecting="status of 40[014]")
                windows[who] = await leaving.enter_async_context(window)
            await windows[who].goto(path.format(**ids))
            return windows[who]

        yield look_at


@pytest.mark.parametrize(("who", "path"), PAGES)
async def test_every_page_is_accessible_and_fits_any_window(look_at, who, path):
    page = await look_at(who, path)
    if path == "/orders/{created}":
        await expect(button(page, "Pay $")).to_be_visible()
    await accessible(page)
    await fits(page)


@pytest.mark.parametrize(("who", "path", "name"), FORMS)
async def test_every_form_with_mistakes_is_accessible_and_fits_any_window(look_at, who, path, name):
    page = await look_at(who, path)
    await button(page, name).click()
    await expect(page.locator("[aria-invalid], [role=alert]").first).to_be_visible()
    await accessible(page)
    await fits(page)


async def fits(page):
    """Nothing is to be reached by scrolling sideways, and on a phone a thumb hits what is to be tapped."""
    for size in (SMALL, LARGE):
        await page.set_viewport_size(size)
        too_wide = await page.evaluate(_TOO_WIDE)
        assert not await page.evaluate("document.scrollingElement.scrollWidth > innerWidth"), too_wide
    await page.set_viewport_size(SMALL)
    assert await page.evaluate(_SMALL_TARGETS) == []


_TOO_WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((node) => node.getBoundingClientRect().right > innerWidth)
  .map((node) => node.outerHTML.slice(0, 100))"""
_SMALL_TARGETS = """() => [...document.querySelectorAll("button, .button, nav a, summary, input")]
  .filter((node) => node.checkVisibility())
  .map((node) => [node.textContent.trim(), node.getBoundingClientRect().height])
  .filter(([, height]) => height < 44)"""


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
async def test_the_page_is_as_dark_as_the_visitor_likes_it(visit, scheme, is_dark):
    page = await visit(color_scheme=scheme)
    await page.goto("/")
    colours = await page.evaluate("""() => {
      const { backgroundColor, color } = getComputedStyle(document.body);
      return [backgroundColor, color].map((each) => each.match(/\\d+/g).slice(0, 3).map(Number));
    }""")
    paper, ink = map(sum, colours)
    assert (paper < ink) == is_dark
    assert abs(paper - ink) > 255


async def test_a_ticket_is_bought_on_a_phone(visit, site):
    seller, buyer = await site.person(), await site.person()
    await offered(seller, "Capriccio on the phone")
    page = await visit(buyer, viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=3)
    await page.goto("/")
    await page.get_by_role("searchbox").fill("capriccio phone")
    await button(page, "Search").tap()
    await link_to(page, "Capriccio on the phone").tap()
    await button(page, "Buy now").tap()
    await type_card(page)
    await button(page, "Pay $").tap()
    await expect(heading(page, "yours")).to_be_visible()
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Orders").tap()
    await expect(row_of(page, "Capriccio on the phone")).to_contain_text("Paid")
