"""Pages that change by themselves, as the market does."""

import asyncio

import pytest
from market import order, ordered, until_held
from people import SOON, link_to, offered, row_of
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

LOST = r"status of 503|net::ERR"
"""What a console says of a stream that is cut."""


async def live_page(visit, path="/", **how):
    page = await visit(**how)
    await page.goto(path)
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    return page


async def titles(page):
    return await page.locator("#tickets").get_by_role("link").all_inner_texts()


async def test_a_search_goes_on_for_what_is_listed_later(visit, site):
    seller = await site.person()
    page = await live_page(visit, "/?q=verdi")
    await offered(seller, "Tosca by Puccini")
    await offered(seller, "Aida by VERDI, row 4")
    await expect(link_to(page, "Aida by VERDI, row 4")).to_be_visible(timeout=SOON)
    await expect(link_to(page, "Tosca by Puccini")).to_have_count(0)
    await expect(page.get_by_role("searchbox")).to_have_value("verdi")


async def test_a_search_without_results_says_so_until_there_is_one(visit, site):
    seller = await site.person()
    page = await live_page(visit, "/?q=zauberfloete")
    nothing = page.get_by_role("heading", name="No ticket has all these words")
    await expect(nothing).to_be_visible()
    ticket_id = await offered(seller, "Zauberfloete, balcony")
    await expect(link_to(page, "Zauberfloete, balcony")).to_be_visible(timeout=SOON)
    await expect(nothing).to_be_hidden()
    assert (await order(seller, ticket_id)).status_code == 201
    await expect(nothing).to_be_visible(timeout=SOON)


async def test_an_edit_shows_at_once_on_the_list_and_on_the_ticket(visit, site):
    seller = await site.person()
    ticket_id = await offered(seller, "Fidelio", 20)
    front, searching = await live_page(visit), await live_page(visit, "/?q=fidelio")
    page = await visit()
    await page.goto(f"/tickets/{ticket_id}")
    await seller.put(f"/api/tickets/{ticket_id}", json={"title": "Leonore", "price": 1234.5})
    await asyncio.gather(
        expect(row_of(front, "Leonore")).to_contain_text("$1,234.50", timeout=SOON),
        expect(link_to(searching, "Fidelio")).to_have_count(0, timeout=SOON),
        expect(page.get_by_role("heading", level=1)).to_have_text("Leonore", timeout=2 * SOON),
    )
    await expect(page.get_by_role("article")).to_contain_text("$1,234.50")


async def test_the_newest_stays_first_and_who_comes_back_takes_their_old_place(visit, site):
    seller = await site.person()
    page = await live_page(visit)
    ids = {name: await offered(seller, name) for name in ("Norma I", "Norma II", "Norma III")}
    await expect(link_to(page, "Norma III")).to_be_visible(timeout=SOON)
    assert (await titles(page))[:3] == ["Norma III", "Norma II", "Norma I"]
    held = await ordered(seller, ids["Norma II"])
    await expect(link_to(page, "Norma II")).to_have_count(0)
    await seller.delete(f"/api/orders/{held['id']}")
    await expect(link_to(page, "Norma II")).to_be_visible(timeout=SOON)
    assert (await titles(page))[:3] == ["Norma III", "Norma II", "Norma I"]


async def test_what_happened_while_the_connection_was_broken_shows_by_itself(visit, site):
    seller = await site.person()
    taken = await offered(seller, "Lulu, taken meanwhile")
    page = await live_page(visit, expecting=LOST)
    await expect(link_to(page, "Lulu, taken meanwhile")).to_be_visible()
    await site.stack.kill("tickets")
    await expect(page.get_by_text("Reconnecting")).to_be_visible()
    held = await ordered(seller, taken)
    await site.stack.start("tickets")
    await offered(seller, "Lulu, listed meanwhile")
    await until_held(seller, taken, held["id"])
    await expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=10_000)
    await expect(link_to(page, "Lulu, listed meanwhile")).to_have_count(1, timeout=SOON)
    await expect(link_to(page, "Lulu, taken meanwhile")).to_have_count(0, timeout=SOON)


async def test_a_page_in_the_background_rests_and_catches_up(visit, site):
    seller = await site.person()
    page = await live_page(visit)
    await look_away(page)
    await offered(seller, "Carmen, behind one's back")
    other = await live_page(visit)
    await expect(link_to(other, "Carmen, behind one's back")).to_be_visible()
    await expect(link_to(page, "Carmen, behind one's back")).to_have_count(0)
    await look_back(page)
    await expect(link_to(page, "Carmen, behind one's back")).to_be_visible(timeout=SOON)


async def test_a_page_that_was_left_for_long_begins_anew(visit):
    page = await live_page(visit)
    await look_away(page)
    await page.evaluate("() => { const now = Date.now; Date.now = () => now() + 11 * 60_000; }")
    async with page.expect_navigation():
        await look_back(page)


async def test_the_list_goes_on_where_it_ends(visit, site):
    seller = await site.person()
    for number in range(60):
        await offered(seller, f"Ring cycle seat {number}")
    page = await live_page(visit, "/?q=ring+cycle")
    assert len(await titles(page)) == 48
    more = page.get_by_role("link", name="Show more")
    await more.scroll_into_view_if_needed()
    await expect(page.locator("#tickets").get_by_role("listitem")).to_have_count(60)
    await expect(more).to_have_count(0)
    assert await titles(page) == [f"Ring cycle seat {number}" for number in reversed(range(60))]


async def look_away(page):
    await turn(page, "hidden")


async def look_back(page):
    await turn(page, "visible")


async def turn(page, state):
    """No window of a browser under test is ever in the background: it has to be told so."""
    await page.evaluate(
        """(state) => {
          Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )
