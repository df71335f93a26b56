"""An order that nobody pays: it counts down, ends by itself, and the ticket is for sale again."""

import asyncio
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from accessibility import accessible
from market import ordered, until_held
from people import button, heading, link_to, offered
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

WINDOW = 16
ASTRAY = "const now = Date.now; Date.now = () => now() - 5 * 3_600_000;"
"""The clock of a visitor that is five hours slow."""


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def hasty_site(site):
    """The market with only a few seconds to pay."""
    await site.stack.stop("orders")
    await site.stack.start("orders", {"EXPIRATION_WINDOW_SECONDS": str(WINDOW)})
    yield site
    await site.stack.restart("orders")


async def test_an_order_counts_down_by_the_market_s_clock_and_ends_by_itself(visit, hasty_site):
    seller, buyer = await hasty_site.person(), await hasty_site.person()
    ticket_id = await offered(seller, "Wozzeck, soon for sale again")
    held = await ordered(buyer, ticket_id)
    await until_held(buyer, ticket_id, held["id"])
    page, astray, other, front = [await visit(who) for who in (buyer, buyer, None, None)]
    await astray.add_init_script(ASTRAY)
    await asyncio.gather(
        *(each.goto(f"/orders/{held['id']}") for each in (page, astray)),
        other.goto(f"/tickets/{ticket_id}"),
        front.goto("/"),
    )
    for each in (page, astray):
        await expect(each.get_by_role("timer")).to_contain_text("0:")
        shown = int((await each.get_by_role("timer").inner_text()).removeprefix("0:"))
        assert abs(shown - seconds_until(held["expiresAt"])) < 2
    await expect(other.get_by_text("left)")).to_be_visible()
    calm = await colour(page)
    countdown = page.get_by_role("region", name="Time to pay")
    await expect(countdown.get_by_role("status")).to_have_text("10 seconds left to pay", timeout=10_000)
    await expect(page.get_by_role("timer")).to_have_text("0:03", timeout=15_000)
    assert await colour(page) != calm
    await asyncio.gather(
        *(expect(heading(each, "Time is up")).to_be_visible() for each in (page, astray)),
        expect(link_to(front, "Wozzeck, soon for sale again")).to_be_visible(),
        expect(other.get_by_role("link", name="Sign in to buy")).to_be_visible(),
    )
    await expect(page.get_by_role("main")).to_contain_text("Nothing was charged")
    await accessible(page)
    await page.get_by_role("link", name="Back to the ticket").click()
    await button(page, "Buy now").click()
    await expect(heading(page, "Pay for your ticket")).to_be_visible()


def seconds_until(time):
    return (datetime.fromisoformat(time) - datetime.now(UTC)).total_seconds()


async def colour(page):
    return await page.get_by_role("timer").evaluate("(node) => getComputedStyle(node).color")
