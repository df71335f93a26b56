"""An unpaid order counts down and expires, and its ticket is for sale again."""

import asyncio
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from api_calls import list_ticket, place_order, wait_for_reservation
from browser.accessibility import check_accessibility
from browser.site_pages import button, heading, ticket_link
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

WINDOW_SECONDS = 16
CLOCK_FIVE_HOURS_SLOW = "const now = Date.now; Date.now = () => now() - 5 * 3_600_000;"


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def short_window_site(site):
    """The site with a payment window of a few seconds."""
    await site.set_payment_window(WINDOW_SECONDS)
    yield site
    await site.set_payment_window(60)


async def test_order_counts_down_by_the_server_clock_and_expires(open_page, short_window_site):
    seller, buyer = await short_window_site.sign_up(), await short_window_site.sign_up()
    ticket_id = await list_ticket(seller, "Wozzeck, soon for sale again")
    order = await place_order(buyer, ticket_id)
    await wait_for_reservation(buyer, ticket_id, order["id"])
    page, slow_clock_page, ticket_page, front_page = [
        await open_page(user) for user in (buyer, buyer, None, None)
    ]
    await slow_clock_page.add_init_script(CLOCK_FIVE_HOURS_SLOW)
    order_pages = (page, slow_clock_page)
    await asyncio.gather(
        *(order_page.goto(f"/orders/{order['id']}") for order_page in order_pages),
        ticket_page.goto(f"/tickets/{ticket_id}"),
        front_page.goto("/"),
    )
    for order_page in order_pages:
        await expect(order_page.get_by_role("timer")).to_contain_text("0:")
        shown = int((await order_page.get_by_role("timer").inner_text()).removeprefix("0:"))
        assert abs(shown - seconds_until(order["expiresAt"])) < 2
    await expect(ticket_page.get_by_text("left)")).to_be_visible()
    initial_colour = await timer_colour(page)
    countdown = page.get_by_role("region", name="Time to pay")
    await expect(countdown.get_by_role("status")).to_have_text("10 seconds left to pay", timeout=10_000)
    await expect(page.get_by_role("timer")).to_have_text("0:03", timeout=15_000)
    assert await timer_colour(page) != initial_colour
    await asyncio.gather(
        *(expect(heading(order_page, "Time is up")).to_be_visible() for order_page in order_pages),
        expect(ticket_link(front_page, "Wozzeck, soon for sale again")).to_be_visible(),
        expect(ticket_page.get_by_role("link", name="Sign in to buy")).to_be_visible(),
    )
    await expect(page.get_by_role("main")).to_contain_text("Nothing was charged")
    await check_accessibility(page)
    await page.get_by_role("link", name="Back to the ticket").click()
    await button(page, "Buy now").click()
    await expect(heading(page, "Pay for your ticket")).to_be_visible()


def seconds_until(time):
    return (datetime.fromisoformat(time) - datetime.now(UTC)).total_seconds()


async def timer_colour(page):
    return await page.get_by_role("timer").evaluate("(node) => getComputedStyle(node).color")
