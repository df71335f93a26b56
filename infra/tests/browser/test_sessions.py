"""When a session ends in the middle of an action, the visitor signs in and continues there."""

import pytest
from api_calls import list_ticket, wait_for_order_status
from browser.site_pages import (
    button,
    enter_card,
    fill_account_form,
    fill_ticket_form,
    get_email,
    heading,
    pay_by_card,
    reserve_ticket,
    set_session_cookie,
)
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

HTTP_401 = "status of 401"


async def sign_in(page, user):
    await expect(heading(page, "Sign in")).to_be_visible()
    await fill_account_form(page, await get_email(user))
    await button(page, "Sign in").click()


async def test_ticket_form_keeps_its_input_across_sign_in(open_page, site):
    seller = await site.sign_up()
    page = await open_page(seller)
    await page.goto("/tickets/new")
    await fill_ticket_form(page, "Daphne & Elektra: 50% off?", "35.5")
    await page.context.clear_cookies()
    await button(page, "List for sale").click()
    await sign_in(page, seller)
    await expect(page.get_by_label("Title")).to_have_value("Daphne & Elektra: 50% off?")
    await expect(page.get_by_label("Price")).to_have_value("35.50")
    await button(page, "List for sale").click()
    await expect(heading(page, "Daphne & Elektra: 50% off?")).to_be_visible()


async def test_buyer_returns_to_the_ticket_after_sign_in(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Intermezzo")
    page = await open_page(buyer)
    await page.goto(f"/tickets/{ticket_id}")
    await page.context.clear_cookies()
    await button(page, "Buy now").click()
    await sign_in(page, buyer)
    await button(page, "Buy now").click()
    await expect(heading(page, "Pay for your ticket")).to_be_visible()


async def test_paying_buyer_returns_to_the_order_after_sign_in(open_page, site):
    reservation = await reserve_ticket(site, "Feuersnot")
    page = await open_page(reservation.buyer, allowed_errors=HTTP_401)
    await page.goto(reservation.order_path)
    await enter_card(page)
    await page.context.clear_cookies()
    await button(page, "Pay $").click()
    await sign_in(page, reservation.buyer)
    await pay_by_card(page)
    await expect(heading(page, "yours")).to_be_visible()
    assert (await site.find_intent(reservation.order_id)).amount == 1999


async def test_open_order_page_redirects_to_sign_in_when_the_session_ends(open_page, site):
    reservation = await reserve_ticket(site, "Guntram")
    page = await open_page(reservation.buyer, allowed_errors=HTTP_401)
    await page.goto(reservation.order_path)
    await expect(button(page, "Cancel order")).to_be_visible()
    await page.context.clear_cookies()
    await sign_in(page, reservation.buyer)
    await button(page, "Cancel order").click()
    await expect(heading(page, "Order cancelled")).to_be_visible()
    await wait_for_order_status(reservation.buyer, reservation.order_id, "cancelled")


async def test_pages_of_another_user_are_not_shown(open_page, site):
    reservation = await reserve_ticket(site, "Salome, somebody else's")
    other = await site.sign_up()
    page = await open_page(other, allowed_errors=HTTP_401)
    for path in (reservation.order_path, f"/tickets/{reservation.ticket_id}/edit"):
        response = await page.goto(path)
        assert response.status == 401
        await expect(heading(page, "This is somebody else's")).to_be_visible()
        await expect(page.get_by_role("main")).to_contain_text(await get_email(other))
        assert reservation.order_id not in await page.content()


async def test_back_button_shows_no_private_page_after_sign_out(open_page, site):
    user = await site.sign_up()
    page = await open_page(user)
    await page.goto("/orders")
    await expect(heading(page, "Your orders")).to_be_visible()
    await page.locator("summary").click()
    await button(page, "Sign out").click()
    await expect(page.get_by_text("You are signed out.")).to_be_visible()
    await page.go_back()
    await expect(heading(page, "Sign in")).to_be_visible()
    await set_session_cookie(page.context, user)
    await page.reload()
    await expect(heading(page, "Your orders")).to_be_visible()
