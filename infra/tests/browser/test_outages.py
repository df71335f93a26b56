"""Each part of the market dies in turn: pages say so in words, lose nothing, and come back by themselves."""

from contextlib import asynccontextmanager

import pytest
from accessibility import accessible
from market import ordered, until_held, until_status
from people import (
    PASSWORD,
    SOON,
    button,
    card_fields,
    email_of,
    heading,
    link_to,
    offered,
    pay,
    send,
    type_card,
)
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

OUT = r"status of 503|net::ERR"
"""What a console says of a part that does not answer."""
BACK = 15_000
"""Milliseconds in which a page finds out that a part is back: it looks every few seconds."""


@asynccontextmanager
async def without(site, *parts):
    for part in parts:
        await site.stack.kill(part)
    yield
    for part in parts:
        await site.stack.start(part)


async def test_without_tickets_pages_say_so_lose_nothing_and_come_back_by_themselves(visit, site):
    seller = await site.person()
    ticket_id = await offered(seller, "Siegfried")
    page, ticket, shop = [await visit(who, expecting=OUT) for who in (None, None, seller)]
    await shop.goto("/tickets/new")
    await shop.get_by_label("Title").fill("Götterdämmerung")
    await shop.get_by_label("Price").fill("70")
    async with without(site, "tickets"):
        answer = await page.goto("/?q=siegfried")
        assert answer.status == 503
        await expect(page.get_by_role("alert")).to_contain_text("be reached just now")
        await expect(page.get_by_role("searchbox")).to_have_value("siegfried")
        await accessible(page)
        answer = await ticket.goto(f"/tickets/{ticket_id}")
        assert answer.status == 503
        await expect(heading(ticket, "We'll be back in a moment")).to_be_visible()
        await accessible(ticket)
        await button(shop, "List for sale").click()
        await expect(shop.get_by_role("alert")).to_contain_text("we don't know whether this was done")
    await button(shop, "List for sale").click()
    await expect(heading(shop, "Götterdämmerung")).to_be_visible()
    await expect(link_to(page, "Siegfried")).to_be_visible(timeout=BACK)
    await expect(heading(ticket, "Siegfried")).to_be_visible(timeout=BACK)


async def test_without_orders_one_browses_and_is_told_to_try_again(visit, site):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Rheingold")
    page, shop = await visit(buyer, expecting=OUT), await visit(seller, expecting=OUT)
    async with without(site, "orders"):
        await page.goto("/")
        await link_to(page, "Rheingold").click()
        await button(page, "Buy now").click()
        await expect(page.get_by_role("alert")).to_contain_text("Please try again: it is done only once.")
        await shop.goto("/sales")
        await expect(link_to(shop, "Rheingold")).to_be_visible()
        await expect(shop.get_by_role("alert")).to_contain_text("be looked up just now")
        await accessible(shop)
    await button(page, "Buy now").click()
    await expect(heading(page, "Pay for your ticket")).to_be_visible()
    await until_held(buyer, ticket_id, (await buyer.get("/api/orders")).json()["orders"][0]["id"])
    await expect(shop.get_by_role("alert")).to_have_count(0, timeout=BACK)
    await expect(shop.get_by_text("Earned")).to_be_visible()


async def test_without_payments_an_order_waits_or_is_cancelled_and_a_payment_is_sent_again(visit, site):
    seller, buyer = await site.person(), await site.person()
    begun, waiting, given_up = [await ordered(buyer, await offered(seller, "Palestrina")) for _ in range(3)]
    paying = await visit(buyer, expecting=OUT)
    page, other = [await paying.context.new_page() for _ in range(2)]
    await paying.goto(f"/orders/{begun['id']}")
    await type_card(paying)
    async with without(site, "payments"):
        await button(paying, "Pay $").click()
        await expect(paying.get_by_role("alert")).to_contain_text("we don't know yet whether")
        await page.goto(f"/orders/{waiting['id']}")
        await expect(page.get_by_role("alert")).to_contain_text("be taken just now")
        await accessible(page)
        await other.goto(f"/orders/{given_up['id']}")
        await button(other, "Cancel order").click()
        await expect(heading(other, "Order cancelled")).to_be_visible()
    await button(paying, "Pay $").click()
    await expect(heading(paying, "yours")).to_be_visible()
    await expect(card_fields(page)[0]).to_be_visible(timeout=BACK)
    await pay(page)
    await expect(heading(page, "yours")).to_be_visible()


async def test_without_auth_who_is_signed_in_buys_and_who_is_not_keeps_their_email(visit, site):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Euryanthe")
    page, stranger = await visit(buyer), await visit(expecting=OUT)
    email = await email_of(seller)
    async with without(site, "auth"):
        await page.goto(f"/tickets/{ticket_id}")
        await button(page, "Buy now").click()
        await expect(heading(page, "Pay for your ticket")).to_be_visible()
        await stranger.goto("/auth/signin")
        await stranger.get_by_label("Email").fill(email)
        await stranger.get_by_label("Password").fill(PASSWORD)
        await button(stranger, "Sign in").click()
        await expect(stranger.get_by_role("alert")).to_contain_text("Please try again.")
        await expect(stranger.get_by_label("Email")).to_have_value(email)
    await stranger.get_by_label("Password").fill(PASSWORD)
    await button(stranger, "Sign in").click()
    await expect(heading(stranger, "Somebody")).to_be_visible()


async def test_without_expiration_a_purchase_goes_on_as_ever(visit, site):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Martha")
    page = await visit(buyer)
    async with without(site, "expiration", "worker"):
        await page.goto(f"/tickets/{ticket_id}")
        await button(page, "Buy now").click()
        await pay(page)
        await expect(heading(page, "yours")).to_be_visible()


async def test_without_stripe_s_script_one_can_try_again_or_cancel(visit, site):
    seller, buyer = await site.person(), await site.person()
    waiting, given_up = [await ordered(buyer, await offered(seller, "Undine")) for _ in range(2)]
    page = await visit(buyer, expecting=OUT)
    await site.control("POST", "/_faults", {"kind": "down", "operation": "GET /v3/"})
    try:
        await page.goto(f"/orders/{waiting['id']}")
        await expect(page.get_by_role("alert")).to_contain_text("be loaded")
        await accessible(page)
        await button(page, "Try again").click()
        await expect(page.get_by_role("alert")).to_contain_text("be loaded")
        other = await page.context.new_page()
        await other.goto(f"/orders/{given_up['id']}")
        await button(other, "Cancel order").click()
        await expect(heading(other, "Order cancelled")).to_be_visible()
    finally:
        await site.control("DELETE", "/_faults")
    await button(page, "Try again").click()
    await pay(page)
    await expect(heading(page, "yours")).to_be_visible()


async def test_open_pages_go_on_while_the_site_is_down(visit, site):
    seller, buyer = await site.person(), await site.person()
    held = await ordered(buyer, await offered(seller, "Hans Heiling"))
    front, page = await visit(expecting=OUT), await visit(buyer, expecting=OUT)
    await front.goto("/")
    await expect(front.get_by_text("Live", exact=True)).to_be_visible()
    await page.goto(f"/orders/{held['id']}")
    await type_card(page)
    async with without(site, "client"):
        await offered(seller, "Zar und Zimmermann")
        await expect(link_to(front, "Zar und Zimmermann")).to_be_visible(timeout=SOON)
        await send(page, button(page, "Pay $"))
        await until_status(buyer, held["id"], "complete")
        await expect(heading(page, "Pay for your ticket")).to_be_visible()
    await expect(heading(page, "yours")).to_be_visible(timeout=BACK)
    await link_to(front, "Zar und Zimmermann").click()
    await expect(heading(front, "Zar und Zimmermann")).to_be_visible()
