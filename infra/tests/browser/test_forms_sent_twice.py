"""A form that is sent twice takes effect once, whatever happened to the first response."""

import asyncio

import pytest
from api_calls import list_ticket
from browser.site_pages import PASSWORD, button, fill_account_form, fill_ticket_form, heading, ticket_link
from playwright.async_api import expect

from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="package")

HTTP_400 = "status of 400"
HTTP_503 = "status of 503"
SITE_TIMEOUT_MS = 25_000
"""Within this time, the site stops waiting for a service that hangs, and shows a message."""

SEND_TWICE = """async () => {
  const form = document.querySelector('main form');
  const send = () => fetch(location.href, { method: 'POST', body: new URLSearchParams(new FormData(form)) });
  return (await Promise.all([send(), send()])).map((response) => response.url);
}"""
SET_VALUE = "(field, value) => { field.value = value; }"


async def count_tickets(site, title):
    return await site.database("tickets")["tickets"].count_documents({"title": title})


async def count_accounts(site, email):
    return await site.database("auth")["accounts"].count_documents({"email": email})


async def test_form_sent_twice_at_once_lists_one_ticket(open_page, site):
    page = await open_page(await site.sign_up())
    await page.goto("/tickets/new")
    await fill_ticket_form(page, "Lohengrin", "50")
    first, second = await page.evaluate(SEND_TWICE)
    assert first == second
    assert "/tickets/" in first
    assert await count_tickets(site, "Lohengrin") == 1


async def test_sign_up_form_sent_twice_at_once_signs_in_to_one_account(open_page, site):
    page = await open_page()
    email = f"{new_id()}@example.com"
    await page.goto("/auth/signup")
    await fill_account_form(page, email)
    urls = await page.evaluate(SEND_TWICE)
    assert not any("/auth/" in url for url in urls)
    assert await count_accounts(site, email) == 1


async def test_forms_sent_again_after_a_503_take_effect_once(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Parsifal")
    listing_page, sign_up_page, ticket_page = [
        await open_page(user, allowed_errors=HTTP_503) for user in (seller, None, buyer)
    ]
    email = f"{new_id()}@example.com"
    await listing_page.goto("/tickets/new")
    await fill_ticket_form(listing_page, "Tannhäuser", "50")
    await sign_up_page.goto("/auth/signup")
    await fill_account_form(sign_up_page, email)
    await ticket_page.goto(f"/tickets/{ticket_id}")
    site.processes.pause("mongod")
    try:
        await asyncio.gather(
            button(listing_page, "List for sale").click(timeout=SITE_TIMEOUT_MS),
            button(sign_up_page, "Sign up").click(timeout=SITE_TIMEOUT_MS),
            button(ticket_page, "Buy now").click(timeout=SITE_TIMEOUT_MS),
        )
        for page in (listing_page, sign_up_page):
            alert = page.get_by_role("alert")
            await expect(alert).to_contain_text(
                "we don't know whether this was done", timeout=SITE_TIMEOUT_MS
            )
        await expect(ticket_page.get_by_role("main")).to_contain_text("know whether", timeout=SITE_TIMEOUT_MS)
    finally:
        site.processes.resume("mongod")
    await button(listing_page, "List for sale").click()
    await expect(listing_page.get_by_text("Your ticket is for sale.")).to_be_visible()
    await sign_up_page.get_by_label("Password").fill(PASSWORD)
    await button(sign_up_page, "Sign up").click()
    await expect(sign_up_page.get_by_role("link", name="Orders", exact=True)).to_be_visible()
    await ticket_page.goto(f"/tickets/{ticket_id}")
    await (
        ticket_page.locator(".till")
        .get_by_role("button", name="Buy now")
        .or_(ticket_page.get_by_role("link", name="Pay for it"))
        .click()
    )
    await expect(heading(ticket_page, "Pay for your ticket")).to_be_visible()
    assert await count_tickets(site, "Tannhäuser") == 1
    assert await count_accounts(site, email) == 1
    assert await site.database("orders")["orders"].count_documents({"ticket.id": ticket_id}) == 1


async def test_form_key_reused_with_other_details_is_rejected_and_can_be_sent_again(open_page, site):
    page = await open_page(await site.sign_up(), allowed_errors=HTTP_400)
    await page.goto("/tickets/new")
    key = await page.locator("[name=form_key]").input_value()
    await fill_ticket_form(page, "Oberon, row 1", "50")
    await button(page, "List for sale").click()
    await expect(page.get_by_text("Your ticket is for sale.")).to_be_visible()

    await page.goto("/tickets/new")
    # A browser that restores the form from memory sends the old key.
    await page.locator("[name=form_key]").evaluate(SET_VALUE, key)
    await fill_ticket_form(page, "Oberon, row 2", "50")
    await button(page, "List for sale").click()
    await expect(page.get_by_role("alert")).to_contain_text("sent before with other details")
    assert await count_tickets(site, "Oberon, row 2") == 0
    await expect(page.get_by_label("Title")).to_have_value("Oberon, row 2")
    await button(page, "List for sale").click()
    await expect(page.get_by_text("Your ticket is for sale.")).to_be_visible()
    await page.goto("/")
    for row in (1, 2):
        await expect(ticket_link(page, f"Oberon, row {row}")).to_be_visible()


async def test_sign_up_form_key_reused_with_another_password_shows_to_sign_in(open_page):
    page = await open_page(allowed_errors=HTTP_400)
    email = f"{new_id()}@example.com"
    await page.goto("/auth/signup")
    key = await page.locator("[name=form_key]").input_value()
    await fill_account_form(page, email)
    await button(page, "Sign up").click()
    await expect(page.get_by_role("link", name="Orders", exact=True)).to_be_visible()
    await page.context.clear_cookies()
    await page.goto("/auth/signup")
    await page.locator("[name=form_key]").evaluate(SET_VALUE, key)
    await fill_account_form(page, email, "another horse")
    await button(page, "Sign up").click()
    await expect(page.get_by_role("alert")).to_contain_text(
        "Sign in with the password that you entered first"
    )
