"""Cards that require 3-D Secure: the bank's dialog over the order page."""

import pytest
from api_calls import wait_for_order_status, wait_for_reservation
from browser.site_pages import (
    REQUIRES_3D_SECURE,
    button,
    card_fields,
    enter_card,
    heading,
    pay_by_card,
    reserve_ticket,
)
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

HTTP_400 = "status of 400"
"""The console message if the buyer does not confirm, or if the webhook settles the payment first."""


def bank_dialog(page):
    return page.frame_locator('iframe[title="3D Secure authentication"]')


async def open_bank_dialog(open_page, site):
    """Returns a reservation and its order page with the bank's dialog open."""
    reservation = await reserve_ticket(site, "Parsifal")
    page = await open_page(reservation.buyer, allowed_errors=HTTP_400)
    await page.goto(reservation.order_path)
    await pay_by_card(page, REQUIRES_3D_SECURE)
    await expect(bank_dialog(page).get_by_role("button", name="Complete")).to_be_visible()
    return reservation, page


async def test_confirmed_payment_completes_the_order(open_page, site):
    reservation, page = await open_bank_dialog(open_page, site)
    await bank_dialog(page).get_by_role("button", name="Complete").click()
    await expect(heading(page, "yours")).to_be_visible()
    await wait_for_order_status(reservation.buyer, reservation.order_id, "complete")


@pytest.mark.parametrize("dialog_button", ["Fail", "Cancel"])
async def test_unconfirmed_payment_shows_the_reason_and_frees_the_ticket(open_page, site, dialog_button):
    reservation, page = await open_bank_dialog(open_page, site)
    await bank_dialog(page).get_by_role("button", name=dialog_button).click()
    await expect(heading(page, "The payment failed")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text("unable to authenticate")
    await wait_for_reservation(reservation.buyer, reservation.ticket_id, None)


async def test_escape_cancels_the_dialog(open_page, site):
    reservation, page = await open_bank_dialog(open_page, site)
    await page.keyboard.press("Escape")
    await expect(heading(page, "The payment failed")).to_be_visible()
    await wait_for_reservation(reservation.buyer, reservation.ticket_id, None)


async def test_payment_is_confirmed_by_keyboard(open_page, site):
    reservation = await reserve_ticket(site, "Lohengrin")
    page = await open_page(reservation.buyer, allowed_errors=HTTP_400)
    await page.goto(reservation.order_path)
    await enter_card(page, REQUIRES_3D_SECURE)
    await card_fields(page)[-1].press("Enter")
    await expect(bank_dialog(page).get_by_role("heading")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(bank_dialog(page).get_by_role("button", name="Complete")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(heading(page, "yours")).to_be_focused()


async def test_cancelling_the_order_in_another_tab_closes_the_dialog(open_page, site):
    reservation, page = await open_bank_dialog(open_page, site)
    other_tab = await page.context.new_page()
    await other_tab.goto(reservation.order_path)
    await button(other_tab, "Cancel order").click()
    await expect(heading(other_tab, "Order cancelled")).to_be_visible()
    await expect(heading(page, "Order cancelled")).to_be_visible()
    await wait_for_reservation(reservation.buyer, reservation.ticket_id, None)
