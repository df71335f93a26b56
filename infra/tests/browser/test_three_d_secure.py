"""Cards whose bank asks the buyer: a dialog over the order, from which every way leads on."""

import pytest
from market import ordered, until_held, until_status
from people import ASKS_THE_BUYER, button, card_fields, heading, offered, pay, type_card
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

REFUSED = "status of 400"
"""What a console says of a payment that the buyer did not confirm, or that Stripe's webhook told of first."""


def bank(page):
    return page.frame_locator('iframe[title="3D Secure authentication"]')


async def asked_by_the_bank(visit, site):
    """A buyer whose bank asks; with the ticket's id and the order's."""
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Parsifal")
    held = await ordered(buyer, ticket_id)
    page = await visit(buyer, expecting=REFUSED)
    await page.goto(f"/orders/{held['id']}")
    await pay(page, ASKS_THE_BUYER)
    await expect(bank(page).get_by_role("button", name="Complete")).to_be_visible()
    return buyer, page, ticket_id, held["id"]


async def test_who_confirms_has_paid(visit, site):
    buyer, page, _, order_id = await asked_by_the_bank(visit, site)
    await bank(page).get_by_role("button", name="Complete").click()
    await expect(heading(page, "yours")).to_be_visible()
    await until_status(buyer, order_id, "complete")


@pytest.mark.parametrize("how", ["Fail", "Cancel"])
async def test_who_does_not_confirm_is_told_why_and_the_ticket_is_free(visit, site, how):
    buyer, page, ticket_id, _ = await asked_by_the_bank(visit, site)
    await bank(page).get_by_role("button", name=how).click()
    await expect(heading(page, "The payment failed")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text("unable to authenticate")
    await until_held(buyer, ticket_id, None)


async def test_escape_closes_the_dialog_as_its_button_does(visit, site):
    buyer, page, ticket_id, _ = await asked_by_the_bank(visit, site)
    await page.keyboard.press("Escape")
    await expect(heading(page, "The payment failed")).to_be_visible()
    await until_held(buyer, ticket_id, None)


async def test_a_payment_is_confirmed_by_keyboard_alone(visit, site):
    seller, buyer = await site.person(), await site.person()
    held = await ordered(buyer, await offered(seller, "Lohengrin"))
    page = await visit(buyer, expecting=REFUSED)
    await page.goto(f"/orders/{held['id']}")
    await type_card(page, ASKS_THE_BUYER)
    await card_fields(page)[-1].press("Enter")
    await expect(bank(page).get_by_role("heading")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(bank(page).get_by_role("button", name="Complete")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(heading(page, "yours")).to_be_focused()


async def test_the_dialog_can_be_left_by_another_tab_that_cancels(visit, site):
    buyer, page, ticket_id, order_id = await asked_by_the_bank(visit, site)
    other = await page.context.new_page()
    await other.goto(f"/orders/{order_id}")
    await button(other, "Cancel order").click()
    await expect(heading(other, "Order cancelled")).to_be_visible()
    await expect(heading(page, "Order cancelled")).to_be_visible()
    await until_held(buyer, ticket_id, None)
