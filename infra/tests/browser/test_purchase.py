"""The main job of the site: one sells, several want it, one gets it and pays."""

import asyncio

import pytest
from market import ordered, until_held, until_status
from people import (
    DECLINED,
    SOON,
    VISA,
    WITHOUT_FUNDS,
    button,
    card_fields,
    heading,
    link_to,
    offered,
    pay,
    row_of,
    send,
    type_card,
)
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

REFUSED = "status of 400"
"""What a console says of a declined card."""


async def test_a_ticket_is_listed_seen_bought_and_paid_by_three_people_at_once(visit, site):
    seller, anne, ben = [await site.person() for _ in range(3)]
    shop, annes, bens = [await visit(person) for person in (seller, anne, ben)]
    for page in (annes, bens):
        await page.goto("/")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()

    await shop.goto("/tickets/new")
    await shop.get_by_label("Title").fill("Tosca, row 3")
    await shop.get_by_label("Price").fill("89.5")
    await shop.get_by_label("Price").blur()
    await expect(shop.get_by_label("Price")).to_have_value("89.50")
    await send(shop, button(shop, "List for sale"))
    await asyncio.gather(
        *(expect(link_to(page, "Tosca, row 3")).to_be_visible(timeout=SOON) for page in (annes, bens))
    )
    await expect(shop.get_by_text("Your ticket is for sale.")).to_be_visible()

    bens_other = await bens.context.new_page()
    await bens_other.goto(await link_to(bens, "Tosca, row 3").get_attribute("href"))
    await expect(button(bens_other, "Buy now")).to_be_visible()

    await link_to(annes, "Tosca, row 3").click()
    await send(annes, button(annes, "Buy now"))
    await asyncio.gather(
        expect(link_to(bens, "Tosca, row 3")).to_have_count(0, timeout=SOON),
        expect(bens_other.get_by_text("Reserved", exact=True)).to_be_visible(timeout=SOON),
        expect(button(bens_other, "Buy now")).to_be_hidden(timeout=SOON),
    )

    await expect(heading(annes, "Pay for your ticket")).to_be_visible()
    await pay(annes)
    await expect(heading(annes, "yours")).to_be_visible()
    await expect(annes.get_by_role("heading", name="Receipt")).to_be_visible()
    await expect(annes.get_by_text("$89.50").first).to_be_visible()
    await annes.get_by_role("link", name="All your orders").click()
    await expect(row_of(annes, "Tosca, row 3")).to_contain_text("Paid")

    await shop.goto("/sales?show=sold")
    await expect(row_of(shop, "Tosca, row 3")).to_contain_text("Paid")
    await expect(shop.get_by_role("paragraph").filter(has_text="Earned")).to_contain_text("$89.50")


async def test_what_a_buyer_gives_up_can_be_bought_by_those_who_wait(visit, site):
    seller, anne, ben = [await site.person() for _ in range(3)]
    ticket_id = await offered(seller, "Elektra")
    held = await ordered(anne, ticket_id)
    await until_held(anne, ticket_id, held["id"])
    annes, bens, front = await visit(anne), await visit(ben), await visit()
    await annes.goto(f"/orders/{held['id']}")
    await bens.goto(f"/tickets/{ticket_id}")
    await front.goto("/")
    await expect(bens.get_by_text("Someone else is buying this ticket")).to_be_visible()
    await expect(front.get_by_text("Live", exact=True)).to_be_visible()
    await expect(link_to(front, "Elektra")).to_have_count(0)
    await send(annes, button(annes, "Cancel order"))
    await asyncio.gather(
        expect(button(bens, "Buy now")).to_be_visible(timeout=SOON),
        expect(link_to(front, "Elektra")).to_be_visible(timeout=SOON),
    )
    await expect(heading(annes, "Order cancelled")).to_be_visible()
    await button(bens, "Buy now").click()
    await expect(heading(bens, "Pay for your ticket")).to_be_visible()


@pytest.mark.parametrize(("card", "why"), [(DECLINED, "declined"), (WITHOUT_FUNDS, "insufficient funds")])
async def test_a_refused_card_says_why_and_the_ticket_can_be_bought_with_another(visit, site, card, why):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Salome")
    page = await visit(buyer, expecting=REFUSED)
    await page.goto(f"/tickets/{ticket_id}")
    await button(page, "Buy now").click()
    await pay(page, card)
    await expect(heading(page, "The payment failed")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text(why)
    await expect(page.get_by_role("main")).to_contain_text("nothing was charged")
    await until_held(buyer, ticket_id, None)
    await page.get_by_role("link", name="Back to the ticket").click()
    await button(page, "Buy now").click()
    await pay(page, VISA)
    await expect(heading(page, "yours")).to_be_visible()


async def test_a_mistyped_card_is_told_before_anything_is_sent(visit, site):
    seller, buyer = await site.person(), await site.person()
    held = await ordered(buyer, await offered(seller, "Wozzeck"))
    page = await visit(buyer)
    await page.goto(f"/orders/{held['id']}")
    await pay(page, "4242424242424241")
    await expect(page.get_by_role("alert")).to_contain_text("card number")
    assert (await until_status(buyer, held["id"], "created"))["status"] == "created"
    await type_card(page)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await button(page, "Pay $").click()
    await expect(heading(page, "yours")).to_be_visible()


async def test_a_double_click_makes_one_order_and_one_payment(visit, site):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Rusalka")
    page = await visit(buyer)
    await page.goto(f"/tickets/{ticket_id}")
    await button(page, "Buy now").dblclick()
    await expect(heading(page, "Pay for your ticket")).to_be_visible()
    orders = (await buyer.get("/api/orders")).json()["orders"]
    assert len(orders) == 1
    payments = []
    page.on(
        "request", lambda r: r.method == "POST" and r.url.endswith("/api/payments") and payments.append(r)
    )
    await type_card(page)
    await button(page, "Pay $").dblclick()
    await expect(heading(page, "yours")).to_be_visible()
    assert len(payments) == 1
    assert (await site.intent_of(orders[0]["id"])).amount == 1999


async def test_the_back_button_leads_to_no_form_for_what_is_paid(visit, site):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Jenufa")
    page = await visit(buyer)
    await page.goto(f"/tickets/{ticket_id}")
    await button(page, "Buy now").click()
    await pay(page)
    await page.get_by_role("link", name="Find another ticket").click()
    await page.go_back()
    await expect(heading(page, "yours")).to_be_visible()
    await expect(button(page, "Pay")).to_have_count(0)
    await page.go_back()
    await expect(page.get_by_role("link", name="See your receipt")).to_be_visible()
    await expect(button(page, "Buy now")).to_have_count(0)


@pytest.mark.parametrize("how", ["pay", "cancel"])
async def test_another_tab_notices_what_is_done_in_this_one(visit, site, how):
    seller, buyer = await site.person(), await site.person()
    held = await ordered(buyer, await offered(seller, "Katja"))
    page = await visit(buyer)
    other = await page.context.new_page()
    for tab in (page, other):
        await tab.goto(f"/orders/{held['id']}")
        await expect(card_fields(tab)[0]).to_be_visible()
    await (pay(page) if how == "pay" else button(page, "Cancel order").click())
    end = "yours" if how == "pay" else "Order cancelled"
    await asyncio.gather(*(expect(heading(tab, end)).to_be_visible() for tab in (page, other)))


async def test_a_refund_shows_to_both_and_frees_the_ticket(visit, site):
    seller, buyer = await site.person(), await site.person()
    ticket_id = await offered(seller, "Boris", 120)
    held = await ordered(buyer, ticket_id)
    page = await visit(buyer)
    await page.goto(f"/orders/{held['id']}")
    await pay(page)
    await expect(heading(page, "yours")).to_be_visible()
    shop = await visit(seller)
    await shop.goto("/sales?show=sold")
    await shop.get_by_text("Refund…").click()
    await button(shop, "Refund $120.00").click()
    await expect(row_of(shop, "Boris")).to_contain_text("Refunded")
    await expect(shop.get_by_role("paragraph").filter(has_text="Earned")).to_contain_text("$0.00")
    await page.reload()
    await expect(heading(page, "Refunded")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text("$120.00")
    await until_held(buyer, ticket_id, None)
