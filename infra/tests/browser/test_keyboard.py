"""The site can be used without a mouse."""

import pytest
from api_calls import list_ticket
from browser.keyboard import tab_to
from browser.site_pages import PASSWORD, button, card_fields, get_email, heading, ticket_link
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_ticket_is_found_and_bought_by_keyboard(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    await list_ticket(seller, "Arabella by keyboard")
    page = await open_page()
    await page.goto("/")
    keys = page.keyboard

    skip = page.get_by_role("link", name="Skip to content")
    await tab_to(page, skip)
    await expect(skip).to_be_in_viewport()
    await keys.press("Enter")
    await tab_to(page, page.get_by_role("searchbox"), at_most=1)
    await keys.type("arabella keyboard")
    await keys.press("Enter")
    await expect(heading(page, "arabella keyboard")).to_be_visible()
    await tab_to(page, ticket_link(page, "Arabella by keyboard"))
    await keys.press("Enter")

    await expect(heading(page, "Arabella by keyboard")).to_be_visible()
    await tab_to(page, page.get_by_role("link", name="Sign in to buy"))
    await keys.press("Enter")
    await expect(heading(page, "Sign in")).to_be_visible()
    await tab_to(page, page.get_by_label("Email"))
    await keys.type(await get_email(buyer))
    await tab_to(page, page.get_by_label("Password"), at_most=1)
    await keys.type(PASSWORD)
    await keys.press("Enter")

    await expect(heading(page, "Arabella by keyboard")).to_be_visible()
    await tab_to(page, button(page, "Buy now"))
    await keys.press("Enter")

    number, expiry, cvc = card_fields(page)
    await expect(number).to_be_visible()
    await tab_to(page, page.locator("#card-input iframe"))
    await expect(number).to_be_focused()
    await keys.type("4242424242424242")
    await expect(expiry).to_be_focused()
    await keys.type("1234")
    await expect(cvc).to_be_focused()
    await keys.type("123")
    await keys.press("Enter")
    await expect(heading(page, "yours")).to_be_focused()


async def test_tab_leaves_the_card_fields_and_space_on_the_button_pays(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Capriccio by keyboard")
    page = await open_page(buyer)
    await page.goto(f"/tickets/{ticket_id}")
    await button(page, "Buy now").press("Enter")
    number, expiry, cvc = card_fields(page)
    await number.focus()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.type("123")
    await page.keyboard.press("Shift+Tab")
    await expect(expiry).to_be_focused()
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.type("42424242424242421234")
    await expect(cvc).to_be_focused()
    await tab_to(page, button(page, "Pay $"), at_most=1)
    await page.keyboard.press("Space")
    await expect(heading(page, "yours")).to_be_focused()


async def test_first_invalid_field_of_a_form_has_the_focus(open_page, site):
    page = await open_page(await site.sign_up(), allowed_errors="status of 400")
    await page.goto("/tickets/new")
    await tab_to(page, page.get_by_label("Title"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Price")).to_be_focused()
    await page.keyboard.type("12")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Title")).to_be_focused()
    await expect(page.get_by_label("Title")).to_have_accessible_description(
        "Give the ticket a title, of at most 200 characters."
    )


async def test_account_menu_opens_and_closes_by_keyboard(open_page, site):
    page = await open_page(await site.sign_up())
    await page.goto("/")
    menu = page.locator("summary")
    await tab_to(page, menu)
    await page.keyboard.press("Enter")
    await expect(button(page, "Sign out")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(button(page, "Sign out")).to_be_hidden()
    await expect(menu).to_be_focused()


async def test_focus_moves_to_the_next_ticket_when_more_tickets_load(open_page, site):
    seller = await site.sign_up()
    for number in range(49):
        await list_ticket(seller, f"Keyboard seat {number}")
    page = await open_page()
    await page.goto("/?q=keyboard+seat")
    await page.get_by_role("link", name="Show more").focus()
    await expect(ticket_link(page, "Keyboard seat 0")).to_be_focused()
