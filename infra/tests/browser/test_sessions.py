"""Sessions that end in the middle of something: one signs in and goes on where one was."""

import pytest
from market import ordered, until_status
from people import PASSWORD, button, email_of, heading, offered, pay, take_session, type_card
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

NOT_SIGNED_IN = "status of 401"


async def sign_in(page, person):
    await expect(heading(page, "Sign in")).to_be_visible()
    await page.get_by_label("Email").fill(await email_of(person))
    await page.get_by_label("Password").fill(PASSWORD)
    await button(page, "Sign in").click()


async def test_what_was_typed_of_a_ticket_is_still_there(visit, site):
    seller = await site.person()
    page = await visit(seller)
    await page.goto("/tickets/new")
    await page.get_by_label("Title").fill("Daphne & Elektra: 50% off?")
    await page.get_by_label("Price").fill("35.5")
    await page.context.clear_cookies()
    await button(page, "List for sale").click()
    await sign_in(page, seller)
    await expect(page.get_by_label("Title")).to_have_value("Daphne & Elektra: 50% off?")
    await expect(page.get_by_label("Price")).to_have_value("35.50")
    await button(page, "List for sale").click()
    await expect(heading(page, "Daphne & Elektra: 50% off?")).to_be_visible()


async def test_who_wanted_to_buy_comes_back_to_the_ticket(visit, site):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Intermezzo")
    page = await visit(buyer)
    await page.goto(f"/tickets/{ticket_id}")
    await page.context.clear_cookies()
    await button(page, "Buy now").click()
    await sign_in(page, buyer)
    await button(page, "Buy now").click()
    await expect(heading(page, "Pay for your ticket")).to_be_visible()


async def test_who_was_paying_comes_back_to_the_order(visit, site):
    seller, buyer = await site.person(), await site.person()
    held = await ordered(buyer, await offered(seller, "Feuersnot"))
    page = await visit(buyer, expecting=NOT_SIGNED_IN)
    await page.goto(f"/orders/{held['id']}")
    await type_card(page)
    await page.context.clear_cookies()
    await button(page, "Pay $").click()
    await sign_in(page, buyer)
    await pay(page)
    await expect(heading(page, "yours")).to_be_visible()
    assert (await site.intent_of(held["id"])).amount == 1999


async def test_an_order_that_is_only_looked_at_leads_to_sign_in_by_itself(visit, site):
    seller, buyer = await site.person(), await site.person()
    held = await ordered(buyer, await offered(seller, "Guntram"))
    page = await visit(buyer, expecting=NOT_SIGNED_IN)
    await page.goto(f"/orders/{held['id']}")
    await expect(button(page, "Cancel order")).to_be_visible()
    await page.context.clear_cookies()
    await sign_in(page, buyer)
    await button(page, "Cancel order").click()
    await expect(heading(page, "Order cancelled")).to_be_visible()
    await until_status(buyer, held["id"], "cancelled")


async def test_what_belongs_to_somebody_else_says_so(visit, site):
    seller, buyer, other = [await site.person() for _ in range(3)]
    ticket_id = await offered(seller, "Salome, somebody else's")
    held = await ordered(buyer, ticket_id)
    page = await visit(other, expecting=NOT_SIGNED_IN)
    for path in (f"/orders/{held['id']}", f"/tickets/{ticket_id}/edit"):
        answer = await page.goto(path)
        assert answer.status == 401
        await expect(heading(page, "This is somebody else's")).to_be_visible()
        await expect(page.get_by_role("main")).to_contain_text(await email_of(other))
        assert held["id"] not in await page.content()


async def test_a_tab_of_before_signing_out_shows_nothing_by_the_back_button(visit, site):
    person = await site.person()
    page = await visit(person)
    await page.goto("/orders")
    await expect(heading(page, "Your orders")).to_be_visible()
    await page.locator("summary").click()
    await button(page, "Sign out").click()
    await expect(page.get_by_text("You are signed out.")).to_be_visible()
    await page.go_back()
    await expect(heading(page, "Sign in")).to_be_visible()
    await take_session(page.context, person)
    await page.reload()
    await expect(heading(page, "Your orders")).to_be_visible()
