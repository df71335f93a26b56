"""While a service is down, pages show a message, keep the visitor's input and recover by themselves."""

from contextlib import asynccontextmanager

import pytest
from api_calls import list_ticket, place_order, wait_for_order_status, wait_for_reservation
from browser.accessibility import check_accessibility
from browser.site_pages import (
    LIVE_UPDATE_MS,
    PASSWORD,
    button,
    card_fields,
    enter_card,
    expect_live,
    fill_account_form,
    fill_ticket_form,
    get_email,
    heading,
    pay_by_card,
    reserve_ticket,
    submit,
    ticket_link,
)
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

OUTAGE_ERRORS = r"status of 503|net::ERR"
RECOVERY_MS = 15_000
"""Within this time, a page detects that a service is up again; it polls every few seconds."""


@asynccontextmanager
async def without(site, *processes):
    for process in processes:
        await site.processes.kill(process)
    yield
    for process in processes:
        await site.processes.start(process)


async def test_without_tickets_pages_keep_their_input_and_recover(open_page, site):
    seller = await site.sign_up()
    ticket_id = await list_ticket(seller, "Siegfried")
    search_page, ticket_page, listing_page = [
        await open_page(user, allowed_errors=OUTAGE_ERRORS) for user in (None, None, seller)
    ]
    await listing_page.goto("/tickets/new")
    await fill_ticket_form(listing_page, "Götterdämmerung", "70")
    async with without(site, "tickets"):
        response = await search_page.goto("/?q=siegfried")
        assert response.status == 503
        await expect(search_page.get_by_role("alert")).to_contain_text("be reached just now")
        await expect(search_page.get_by_role("searchbox")).to_have_value("siegfried")
        await check_accessibility(search_page)
        response = await ticket_page.goto(f"/tickets/{ticket_id}")
        assert response.status == 503
        await expect(heading(ticket_page, "We'll be back in a moment")).to_be_visible()
        await check_accessibility(ticket_page)
        await button(listing_page, "List for sale").click()
        await expect(listing_page.get_by_role("alert")).to_contain_text("we don't know whether this was done")
    await button(listing_page, "List for sale").click()
    await expect(heading(listing_page, "Götterdämmerung")).to_be_visible()
    await expect(ticket_link(search_page, "Siegfried")).to_be_visible(timeout=RECOVERY_MS)
    await expect(heading(ticket_page, "Siegfried")).to_be_visible(timeout=RECOVERY_MS)


async def test_without_orders_visitors_can_browse_and_buy_later(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Rheingold")
    page, sales_page = [await open_page(user, allowed_errors=OUTAGE_ERRORS) for user in (buyer, seller)]
    async with without(site, "orders"):
        await page.goto("/")
        await ticket_link(page, "Rheingold").click()
        await button(page, "Buy now").click()
        await expect(page.get_by_role("alert")).to_contain_text("Please try again: it is done only once.")
        await sales_page.goto("/sales")
        await expect(ticket_link(sales_page, "Rheingold")).to_be_visible()
        await expect(sales_page.get_by_role("alert")).to_contain_text("be looked up just now")
        await check_accessibility(sales_page)
    await button(page, "Buy now").click()
    await expect(heading(page, "Pay for your ticket")).to_be_visible()
    await wait_for_reservation(buyer, ticket_id, (await buyer.get("/api/orders")).json()["orders"][0]["id"])
    await expect(sales_page.get_by_role("alert")).to_have_count(0, timeout=RECOVERY_MS)
    await expect(sales_page.get_by_text("Earned")).to_be_visible()


async def test_without_payments_orders_can_be_cancelled_or_paid_later(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    paths = [
        f"/orders/{(await place_order(buyer, await list_ticket(seller, 'Palestrina')))['id']}"
        for _ in range(3)
    ]
    page = await open_page(buyer, allowed_errors=OUTAGE_ERRORS)
    later_page, cancelled_page = [await page.context.new_page() for _ in range(2)]
    await page.goto(paths[0])
    await enter_card(page)
    async with without(site, "payments"):
        await button(page, "Pay $").click()
        await expect(page.get_by_role("alert")).to_contain_text("we don't know yet whether")
        await later_page.goto(paths[1])
        await expect(later_page.get_by_role("alert")).to_contain_text("be taken just now")
        await check_accessibility(later_page)
        await cancelled_page.goto(paths[2])
        await button(cancelled_page, "Cancel order").click()
        await expect(heading(cancelled_page, "Order cancelled")).to_be_visible()
    await button(page, "Pay $").click()
    await expect(heading(page, "yours")).to_be_visible()
    await expect(card_fields(later_page)[0]).to_be_visible(timeout=RECOVERY_MS)
    await pay_by_card(later_page)
    await expect(heading(later_page, "yours")).to_be_visible()


async def test_without_auth_signed_in_visitors_can_buy_and_the_sign_in_form_keeps_the_email(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Euryanthe")
    page, sign_in_page = await open_page(buyer), await open_page(allowed_errors=OUTAGE_ERRORS)
    email = await get_email(seller)
    async with without(site, "auth"):
        await page.goto(f"/tickets/{ticket_id}")
        await button(page, "Buy now").click()
        await expect(heading(page, "Pay for your ticket")).to_be_visible()
        await sign_in_page.goto("/auth/signin")
        await fill_account_form(sign_in_page, email)
        await button(sign_in_page, "Sign in").click()
        await expect(sign_in_page.get_by_role("alert")).to_contain_text("Please try again.")
        await expect(sign_in_page.get_by_label("Email")).to_have_value(email)
    await sign_in_page.get_by_label("Password").fill(PASSWORD)
    await button(sign_in_page, "Sign in").click()
    await expect(heading(sign_in_page, "Somebody")).to_be_visible()


async def test_without_expiration_tickets_can_be_bought(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Martha")
    page = await open_page(buyer)
    async with without(site, "expiration", "worker"):
        await page.goto(f"/tickets/{ticket_id}")
        await button(page, "Buy now").click()
        await pay_by_card(page)
        await expect(heading(page, "yours")).to_be_visible()


async def test_without_the_script_of_stripe_orders_can_be_cancelled_or_paid_later(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    paths = [
        f"/orders/{(await place_order(buyer, await list_ticket(seller, 'Undine')))['id']}" for _ in range(2)
    ]
    page = await open_page(buyer, allowed_errors=OUTAGE_ERRORS)
    await site.control_stripe("POST", "/_faults", {"kind": "down", "operation": "GET /v3/"})
    try:
        await page.goto(paths[0])
        await expect(page.get_by_role("alert")).to_contain_text("be loaded")
        await check_accessibility(page)
        await button(page, "Try again").click()
        await expect(page.get_by_role("alert")).to_contain_text("be loaded")
        cancelled_page = await page.context.new_page()
        await cancelled_page.goto(paths[1])
        await button(cancelled_page, "Cancel order").click()
        await expect(heading(cancelled_page, "Order cancelled")).to_be_visible()
    finally:
        await site.control_stripe("DELETE", "/_faults")
    await button(page, "Try again").click()
    await pay_by_card(page)
    await expect(heading(page, "yours")).to_be_visible()


async def test_open_pages_keep_working_while_the_site_is_down(open_page, site):
    reservation = await reserve_ticket(site, "Hans Heiling")
    front_page = await open_page(allowed_errors=OUTAGE_ERRORS)
    page = await open_page(reservation.buyer, allowed_errors=OUTAGE_ERRORS)
    await front_page.goto("/")
    await expect_live(front_page)
    await page.goto(reservation.order_path)
    await enter_card(page)
    async with without(site, "client"):
        await list_ticket(reservation.seller, "Zar und Zimmermann")
        await expect(ticket_link(front_page, "Zar und Zimmermann")).to_be_visible(timeout=LIVE_UPDATE_MS)
        await submit(page, button(page, "Pay $"))
        await wait_for_order_status(reservation.buyer, reservation.order_id, "complete")
        await expect(heading(page, "Pay for your ticket")).to_be_visible()
    await expect(heading(page, "yours")).to_be_visible(timeout=RECOVERY_MS)
    await ticket_link(front_page, "Zar und Zimmermann").click()
    await expect(heading(front_page, "Zar und Zimmermann")).to_be_visible()
