"""A form that is sent twice does a thing once, whatever became of the first answer."""

import asyncio

import pytest
from people import PASSWORD, button, heading, link_to, offered
from playwright.async_api import expect

from ticketing_common.mongo import new_id

pytestmark = pytest.mark.asyncio(loop_scope="package")

UNKNOWN = r"status of 503"
REFUSED = "status of 400"
GIVES_UP = 25_000
"""Milliseconds in which the site gives up waiting for a service that hangs, and says so."""

SEND_TWICE = """async () => {
  const form = document.querySelector('main form');
  const send = () => fetch(location.href, { method: 'POST', body: new URLSearchParams(new FormData(form)) });
  return (await Promise.all([send(), send()])).map((answer) => answer.url);
}"""


async def fill(page, title, price="50"):
    await page.get_by_label("Title").fill(title)
    await page.get_by_label("Price").fill(price)


async def listings(site, title):
    return await site.database("tickets")["tickets"].count_documents({"title": title})


async def test_form_sent_twice_at_once_lists_one_ticket(visit, site):
    page = await visit(await site.person())
    await page.goto("/tickets/new")
    await fill(page, "Lohengrin")
    first, second = await page.evaluate(SEND_TWICE)
    assert first == second
    assert "/tickets/" in first
    assert await listings(site, "Lohengrin") == 1


async def test_sign_up_form_sent_twice_at_once_signs_in_to_one_account(visit, site):
    page = await visit()
    email = f"{new_id()}@example.com"
    await page.goto("/auth/signup")
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    urls = await page.evaluate(SEND_TWICE)
    assert not any("/auth/" in url for url in urls)
    assert await site.database("auth")["accounts"].count_documents({"email": email}) == 1


async def test_forms_sent_again_after_a_503_whose_request_took_effect_do_it_once(visit, site):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Parsifal")
    shop, stranger, page = [await visit(who, expecting=UNKNOWN) for who in (seller, None, buyer)]
    email = f"{new_id()}@example.com"
    await shop.goto("/tickets/new")
    await fill(shop, "Tannhäuser")
    await stranger.goto("/auth/signup")
    await stranger.get_by_label("Email").fill(email)
    await stranger.get_by_label("Password").fill(PASSWORD)
    await page.goto(f"/tickets/{ticket_id}")
    site.stack.pause("mongod")
    try:
        await asyncio.gather(
            button(shop, "List for sale").click(timeout=GIVES_UP),
            button(stranger, "Sign up").click(timeout=GIVES_UP),
            button(page, "Buy now").click(timeout=GIVES_UP),
        )
        for form in (shop, stranger):
            said = form.get_by_role("alert")
            await expect(said).to_contain_text("we don't know whether this was done", timeout=GIVES_UP)
        await expect(page.get_by_role("main")).to_contain_text("know whether", timeout=GIVES_UP)
    finally:
        site.stack.resume("mongod")
    await button(shop, "List for sale").click()
    await expect(shop.get_by_text("Your ticket is for sale.")).to_be_visible()
    await stranger.get_by_label("Password").fill(PASSWORD)
    await button(stranger, "Sign up").click()
    await expect(stranger.get_by_role("link", name="Orders", exact=True)).to_be_visible()
    await page.goto(f"/tickets/{ticket_id}")
    await (
        page.locator(".till")
        .get_by_role("button", name="Buy now")
        .or_(page.get_by_role("link", name="Pay for it"))
        .click()
    )
    await expect(heading(page, "Pay for your ticket")).to_be_visible()
    assert await listings(site, "Tannhäuser") == 1
    assert await site.database("auth")["accounts"].count_documents({"email": email}) == 1
    assert await site.database("orders")["orders"].count_documents({"ticket.id": ticket_id}) == 1


async def test_form_sent_before_with_other_details_is_shown_again_and_can_be_sent(visit, site):
    page = await visit(await site.person(), expecting=REFUSED)
    await page.goto("/tickets/new")
    key = await page.locator("[name=form_key]").input_value()
    await fill(page, "Oberon, row 1")
    await button(page, "List for sale").click()
    await expect(page.get_by_text("Your ticket is for sale.")).to_be_visible()

    await page.goto("/tickets/new")
    # As a browser does that brings the form back from memory.
    await page.locator("[name=form_key]").evaluate("(field, key) => { field.value = key; }", key)
    await fill(page, "Oberon, row 2")
    await button(page, "List for sale").click()
    await expect(page.get_by_role("alert")).to_contain_text("sent before with other details")
    assert await listings(site, "Oberon, row 2") == 0
    await expect(page.get_by_label("Title")).to_have_value("Oberon, row 2")
    await button(page, "List for sale").click()
    await expect(page.get_by_text("Your ticket is for sale.")).to_be_visible()
    await page.goto("/")
    for row in (1, 2):
        await expect(link_to(page, f"Oberon, row {row}")).to_be_visible()


async def test_sign_up_form_sent_before_with_another_password_says_to_sign_in(visit):
    page = await visit(expecting=REFUSED)
    email = f"{new_id()}@example.com"
    await page.goto("/auth/signup")
    key = await page.locator("[name=form_key]").input_value()
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await button(page, "Sign up").click()
    await expect(page.get_by_role("link", name="Orders", exact=True)).to_be_visible()
    await page.context.clear_cookies()
    await page.goto("/auth/signup")
    await page.locator("[name=form_key]").evaluate("(field, key) => { field.value = key; }", key)
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill("another horse")
    await button(page, "Sign up").click()
    await expect(page.get_by_role("alert")).to_contain_text(
        "Sign in with the password that you entered first"
    )
