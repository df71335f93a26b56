"""Pages update by themselves."""

import asyncio

import pytest
from api_calls import list_ticket, place_order, post_order, wait_for_reservation
from browser.site_pages import LIVE_UPDATE_MS, expect_live, list_row, ticket_link
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

CONNECTION_ERRORS = r"status of 503|net::ERR"


async def open_live_page(open_page, path="/", **options):
    page = await open_page(**options)
    await page.goto(path)
    await expect_live(page)
    return page


async def list_titles(page):
    return await page.locator("#tickets").get_by_role("link").all_inner_texts()


async def test_search_results_update_when_a_matching_ticket_is_listed(open_page, site):
    seller = await site.sign_up()
    page = await open_live_page(open_page, "/?q=verdi")
    await list_ticket(seller, "Tosca by Puccini")
    await list_ticket(seller, "Aida by VERDI, row 4")
    await expect(ticket_link(page, "Aida by VERDI, row 4")).to_be_visible(timeout=LIVE_UPDATE_MS)
    await expect(ticket_link(page, "Tosca by Puccini")).to_have_count(0)
    await expect(page.get_by_role("searchbox")).to_have_value("verdi")


async def test_notice_of_an_empty_search_is_shown_until_there_is_a_result(open_page, site):
    seller = await site.sign_up()
    page = await open_live_page(open_page, "/?q=zauberfloete")
    empty_notice = page.get_by_role("heading", name="No ticket has all these words")
    await expect(empty_notice).to_be_visible()
    ticket_id = await list_ticket(seller, "Zauberfloete, balcony")
    await expect(ticket_link(page, "Zauberfloete, balcony")).to_be_visible(timeout=LIVE_UPDATE_MS)
    await expect(empty_notice).to_be_hidden()
    assert (await post_order(seller, ticket_id)).status_code == 201
    await expect(empty_notice).to_be_visible(timeout=LIVE_UPDATE_MS)


async def test_edit_shows_on_the_list_and_on_the_ticket_page(open_page, site):
    seller = await site.sign_up()
    ticket_id = await list_ticket(seller, "Fidelio", 20)
    front_page, search_page = await open_live_page(open_page), await open_live_page(open_page, "/?q=fidelio")
    page = await open_page()
    await page.goto(f"/tickets/{ticket_id}")
    await seller.put(f"/api/tickets/{ticket_id}", json={"title": "Leonore", "price": 1234.5})
    await asyncio.gather(
        expect(list_row(front_page, "Leonore")).to_contain_text("$1,234.50", timeout=LIVE_UPDATE_MS),
        expect(ticket_link(search_page, "Fidelio")).to_have_count(0, timeout=LIVE_UPDATE_MS),
        expect(page.get_by_role("heading", level=1)).to_have_text("Leonore", timeout=2 * LIVE_UPDATE_MS),
    )
    await expect(page.get_by_role("article")).to_contain_text("$1,234.50")


async def test_list_stays_ordered_when_a_cancelled_ticket_returns(open_page, site):
    seller = await site.sign_up()
    page = await open_live_page(open_page)
    ids = {name: await list_ticket(seller, name) for name in ("Norma I", "Norma II", "Norma III")}
    await expect(ticket_link(page, "Norma III")).to_be_visible(timeout=LIVE_UPDATE_MS)
    assert (await list_titles(page))[:3] == ["Norma III", "Norma II", "Norma I"]
    order_id = (await place_order(seller, ids["Norma II"]))["id"]
    await expect(ticket_link(page, "Norma II")).to_have_count(0)
    await seller.delete(f"/api/orders/{order_id}")
    await expect(ticket_link(page, "Norma II")).to_be_visible(timeout=LIVE_UPDATE_MS)
    assert (await list_titles(page))[:3] == ["Norma III", "Norma II", "Norma I"]


async def test_changes_during_a_broken_connection_show_after_reconnecting(open_page, site):
    seller = await site.sign_up()
    taken_id = await list_ticket(seller, "Lulu, taken meanwhile")
    page = await open_live_page(open_page, allowed_errors=CONNECTION_ERRORS)
    await expect(ticket_link(page, "Lulu, taken meanwhile")).to_be_visible()
    await site.processes.kill("tickets")
    await expect(page.get_by_text("Reconnecting")).to_be_visible()
    order_id = (await place_order(seller, taken_id))["id"]
    await site.processes.start("tickets")
    await list_ticket(seller, "Lulu, listed meanwhile")
    await wait_for_reservation(seller, taken_id, order_id)
    await expect_live(page, timeout_ms=10_000)
    await expect(ticket_link(page, "Lulu, listed meanwhile")).to_have_count(1, timeout=LIVE_UPDATE_MS)
    await expect(ticket_link(page, "Lulu, taken meanwhile")).to_have_count(0, timeout=LIVE_UPDATE_MS)


async def test_hidden_page_disconnects_and_catches_up_when_shown(open_page, site):
    seller = await site.sign_up()
    page = await open_live_page(open_page)
    await set_visibility(page, "hidden")
    await list_ticket(seller, "Carmen, listed meanwhile")
    other = await open_live_page(open_page)
    await expect(ticket_link(other, "Carmen, listed meanwhile")).to_be_visible()
    await expect(ticket_link(page, "Carmen, listed meanwhile")).to_have_count(0)
    await set_visibility(page, "visible")
    await expect(ticket_link(page, "Carmen, listed meanwhile")).to_be_visible(timeout=LIVE_UPDATE_MS)


async def test_page_reloads_when_shown_after_a_long_time(open_page):
    page = await open_live_page(open_page)
    await set_visibility(page, "hidden")
    await page.evaluate("() => { const now = Date.now; Date.now = () => now() + 11 * 60_000; }")
    async with page.expect_navigation():
        await set_visibility(page, "visible")


async def test_more_tickets_load_at_the_end_of_the_list(open_page, site):
    seller = await site.sign_up()
    for number in range(60):
        await list_ticket(seller, f"Ring cycle seat {number}")
    page = await open_live_page(open_page, "/?q=ring+cycle")
    assert len(await list_titles(page)) == 48
    more = page.get_by_role("link", name="Show more")
    await more.scroll_into_view_if_needed()
    await expect(page.locator("#tickets").get_by_role("listitem")).to_have_count(60)
    await expect(more).to_have_count(0)
    assert await list_titles(page) == [f"Ring cycle seat {number}" for number in reversed(range(60))]


async def set_visibility(page, state):
    """Simulates switching tabs: every page of a headless browser is always visible."""
    await page.evaluate(
        """(state) => {
          Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )
