"""The site in a browser without JavaScript: everything works except payment by card."""

import pytest
import pytest_asyncio
from api_calls import list_ticket, place_order
from browser.site_pages import (
    PASSWORD,
    button,
    fill_account_form,
    fill_ticket_form,
    get_email,
    heading,
    list_row,
    ticket_link,
)
from playwright.async_api import expect

from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="package")

HTTP_400_OR_404 = "status of 40[04]"
"""The console message for a form that is shown again with errors."""


@pytest_asyncio.fixture(loop_scope="package")
async def page(open_page):
    return await open_page(java_script_enabled=False, allowed_errors=HTTP_400_OR_404)


async def test_search_works_and_the_next_page_is_a_link(open_page, site):
    page = await open_page(java_script_enabled=False)
    seller = await site.sign_up()
    for number in range(50):
        await list_ticket(seller, f"Plain opera {number}")
    await page.goto("/")
    await page.get_by_role("searchbox", name="Search tickets").fill("plain opera")
    await button(page, "Search").click()
    await expect(page.get_by_role("heading", level=2)).to_have_count(48)
    await page.get_by_role("link", name="Show more").click()
    await expect(page.get_by_role("heading", level=2)).to_have_count(2)
    await ticket_link(page, "Plain opera 0").click()
    await expect(heading(page, "Plain opera 0")).to_be_visible()
    await expect(page.get_by_role("link", name="Sign in to buy")).to_be_visible()


async def test_visitor_signs_up_after_an_invalid_password_and_signs_out(page):
    email = f"{new_id()}@example.com"
    await page.goto("/auth/signup")
    await fill_account_form(page, email, "short")
    await button(page, "Sign up").click()
    password = page.get_by_label("Password")
    await expect(password).to_have_attribute("aria-invalid", "true")
    await expect(password).to_have_accessible_description("Choose a password of 8 to 128 characters.")
    await expect(page.get_by_label("Email")).to_have_value(email)
    await password.fill(PASSWORD)
    await button(page, "Sign up").click()
    await expect(page.get_by_role("link", name="Orders", exact=True)).to_be_visible()
    await page.get_by_text(email).first.click()
    await button(page, "Sign out").click()
    await expect(page.get_by_text("You are signed out.")).to_be_visible()
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()


async def test_visitor_signs_in_after_a_wrong_password_and_returns(page, site):
    user = await site.sign_up()
    await page.goto("/orders")
    await fill_account_form(page, await get_email(user), "wrong password")
    await button(page, "Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("Email and password don't match")
    await page.get_by_label("Password").fill(PASSWORD)
    await button(page, "Sign in").click()
    await expect(heading(page, "Your orders")).to_be_visible()


async def test_ticket_is_listed_and_edited(open_page, site):
    page = await open_page(await site.sign_up(), java_script_enabled=False, allowed_errors=HTTP_400_OR_404)
    await page.goto("/tickets/new")
    await fill_ticket_form(page, "Plain listing", "nothing")
    await button(page, "List for sale").click()
    await expect(page.get_by_label("Price")).to_have_accessible_description(
        "Enter the price as a number of dollars, such as 19.99."
    )
    await expect(page.get_by_label("Title")).to_have_value("Plain listing")
    await page.get_by_label("Price").fill("$1,000")
    await button(page, "List for sale").click()
    await expect(page.get_by_text("Your ticket is for sale.")).to_be_visible()
    await page.get_by_role("link", name="Edit").click()
    await expect(page.get_by_label("Price")).to_have_value("1000.00")
    await page.get_by_label("Title").fill("Plain listing, edited")
    await button(page, "Save").click()
    await expect(heading(page, "Plain listing, edited")).to_be_visible()
    await page.goto("/sales")
    await expect(list_row(page, "Plain listing, edited")).to_contain_text("$1,000.00")


async def test_ticket_is_ordered_and_the_order_is_cancelled(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Plain purchase")
    page = await open_page(buyer, java_script_enabled=False)
    await page.goto(f"/tickets/{ticket_id}")
    await button(page, "Buy now").click()
    await expect(page.get_by_role("main")).to_contain_text(
        "To pay by card, switch JavaScript on", use_inner_text=True
    )
    await expect(page.get_by_text("is when the ticket is for sale again")).to_be_visible()
    await button(page, "Cancel order").click()
    await expect(heading(page, "Order cancelled")).to_be_visible()
    await page.get_by_role("link", name="Your orders").click()
    await expect(list_row(page, "Plain purchase")).to_contain_text("Cancelled")


async def test_second_buyer_gets_a_message_that_the_ticket_is_taken(open_page, site):
    seller, anne, ben = [await site.sign_up() for _ in range(3)]
    ticket_id = await list_ticket(seller, "Plain race")
    page = await open_page(ben, java_script_enabled=False, allowed_errors=HTTP_400_OR_404)
    await page.goto(f"/tickets/{ticket_id}")
    await place_order(anne, ticket_id)
    await button(page, "Buy now").click()
    await expect(page.get_by_role("alert")).to_contain_text("Somebody else was faster")
