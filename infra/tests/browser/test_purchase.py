"""The main journey: list, buy, pay; several buyers, failed payments and refunds."""

import asyncio

import pytest
from api_calls import list_ticket, place_order, wait_for_order_status, wait_for_reservation
from browser.site_pages import (
    DECLINED,
    INSUFFICIENT_FUNDS,
    LIVE_UPDATE_MS,
    VISA,
    button,
    card_fields,
    enter_card,
    expect_live,
    fill_ticket_form,
    heading,
    list_row,
    pay_by_card,
    reserve_ticket,
    submit,
    ticket_link,
)
from playwright.async_api import Request, expect

pytestmark = pytest.mark.asyncio(loop_scope="package")

HTTP_400 = "status of 400"


async def test_listed_ticket_appears_to_two_buyers_and_one_of_them_buys_it(open_page, site):
    seller, anne, ben = [await site.sign_up() for _ in range(3)]
    sellers_page, annes_page, bens_page = [await open_page(user) for user in (seller, anne, ben)]
    for page in (annes_page, bens_page):
        await page.goto("/")
        await expect_live(page)

    await sellers_page.goto("/tickets/new")
    await fill_ticket_form(sellers_page, "Tosca, row 3", "89.5")
    await sellers_page.get_by_label("Price").blur()
    await expect(sellers_page.get_by_label("Price")).to_have_value("89.50")
    await submit(sellers_page, button(sellers_page, "List for sale"))
    await asyncio.gather(
        *(
            expect(ticket_link(page, "Tosca, row 3")).to_be_visible(timeout=LIVE_UPDATE_MS)
            for page in (annes_page, bens_page)
        )
    )
    await expect(sellers_page.get_by_text("Your ticket is for sale.")).to_be_visible()

    bens_ticket_page = await bens_page.context.new_page()
    await bens_ticket_page.goto(await ticket_link(bens_page, "Tosca, row 3").get_attribute("href"))
    await expect(button(bens_ticket_page, "Buy now")).to_be_visible()

    await ticket_link(annes_page, "Tosca, row 3").click()
    await submit(annes_page, button(annes_page, "Buy now"))
    await asyncio.gather(
        expect(ticket_link(bens_page, "Tosca, row 3")).to_have_count(0, timeout=LIVE_UPDATE_MS),
        expect(bens_ticket_page.get_by_text("Reserved", exact=True)).to_be_visible(timeout=LIVE_UPDATE_MS),
        expect(button(bens_ticket_page, "Buy now")).to_be_hidden(timeout=LIVE_UPDATE_MS),
    )

    await expect(heading(annes_page, "Pay for your ticket")).to_be_visible()
    await pay_by_card(annes_page)
    await expect(heading(annes_page, "yours")).to_be_visible()
    await expect(annes_page.get_by_role("heading", name="Receipt")).to_be_visible()
    await expect(annes_page.get_by_text("$89.50").first).to_be_visible()
    await annes_page.get_by_role("link", name="All your orders").click()
    await expect(list_row(annes_page, "Tosca, row 3")).to_contain_text("Paid")

    await sellers_page.goto("/sales?show=sold")
    await expect(list_row(sellers_page, "Tosca, row 3")).to_contain_text("Paid")
    await expect(sellers_page.get_by_role("paragraph").filter(has_text="Earned")).to_contain_text("$89.50")


async def test_ticket_of_a_cancelled_order_can_be_bought_by_a_waiting_visitor(open_page, site):
    seller, anne, ben = [await site.sign_up() for _ in range(3)]
    ticket_id = await list_ticket(seller, "Elektra")
    order_id = (await place_order(anne, ticket_id))["id"]
    await wait_for_reservation(anne, ticket_id, order_id)
    annes_page, bens_page, front_page = await open_page(anne), await open_page(ben), await open_page()
    await annes_page.goto(f"/orders/{order_id}")
    await bens_page.goto(f"/tickets/{ticket_id}")
    await front_page.goto("/")
    await expect(bens_page.get_by_text("Someone else is buying this ticket")).to_be_visible()
    await expect_live(front_page)
    await expect(ticket_link(front_page, "Elektra")).to_have_count(0)
    await submit(annes_page, button(annes_page, "Cancel order"))
    await asyncio.gather(
        expect(button(bens_page, "Buy now")).to_be_visible(timeout=LIVE_UPDATE_MS),
        expect(ticket_link(front_page, "Elektra")).to_be_visible(timeout=LIVE_UPDATE_MS),
    )
    await expect(heading(annes_page, "Order cancelled")).to_be_visible()
    await button(bens_page, "Buy now").click()
    await expect(heading(bens_page, "Pay for your ticket")).to_be_visible()


@pytest.mark.parametrize(
    ("card", "reason"), [(DECLINED, "declined"), (INSUFFICIENT_FUNDS, "insufficient funds")]
)
async def test_refused_card_shows_the_reason_and_another_card_can_be_used(open_page, site, card, reason):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Salome")
    page = await open_page(buyer, allowed_errors=HTTP_400)
    await page.goto(f"/tickets/{ticket_id}")
    await button(page, "Buy now").click()
    await pay_by_card(page, card)
    await expect(heading(page, "The payment failed")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text(reason)
    await expect(page.get_by_role("main")).to_contain_text("nothing was charged")
    await wait_for_reservation(buyer, ticket_id, None)
    await page.get_by_role("link", name="Back to the ticket").click()
    await button(page, "Buy now").click()
    await pay_by_card(page, VISA)
    await expect(heading(page, "yours")).to_be_visible()


async def test_mistyped_card_number_is_rejected_before_anything_is_sent(open_page, site):
    reservation = await reserve_ticket(site, "Wozzeck")
    page = await open_page(reservation.buyer)
    await page.goto(reservation.order_path)
    await pay_by_card(page, "4242424242424241")
    await expect(page.get_by_role("alert")).to_contain_text("card number")
    order = await wait_for_order_status(reservation.buyer, reservation.order_id, "created")
    assert order["status"] == "created"
    await enter_card(page)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await button(page, "Pay $").click()
    await expect(heading(page, "yours")).to_be_visible()


async def test_double_click_makes_one_order_and_one_payment(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Rusalka")
    page = await open_page(buyer)
    await page.goto(f"/tickets/{ticket_id}")
    await button(page, "Buy now").dblclick()
    await expect(heading(page, "Pay for your ticket")).to_be_visible()
    orders = (await buyer.get("/api/orders")).json()["orders"]
    assert len(orders) == 1
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    await enter_card(page)
    await button(page, "Pay $").dblclick()
    await expect(heading(page, "yours")).to_be_visible()
    payments = [each for each in requests if each.method == "POST" and each.url.endswith("/api/payments")]
    assert len(payments) == 1
    assert (await site.find_intent(orders[0]["id"])).amount == 1999


async def test_back_button_shows_no_form_after_payment(open_page, site):
    seller, buyer = await site.sign_up(), await site.sign_up()
    ticket_id = await list_ticket(seller, "Jenufa")
    page = await open_page(buyer)
    await page.goto(f"/tickets/{ticket_id}")
    await button(page, "Buy now").click()
    await pay_by_card(page)
    await page.get_by_role("link", name="Find another ticket").click()
    await page.go_back()
    await expect(heading(page, "yours")).to_be_visible()
    await expect(button(page, "Pay")).to_have_count(0)
    await page.go_back()
    await expect(page.get_by_role("link", name="See your receipt")).to_be_visible()
    await expect(button(page, "Buy now")).to_have_count(0)


@pytest.mark.parametrize("action", ["pay", "cancel"])
async def test_payment_and_cancellation_show_in_another_tab(open_page, site, action):
    reservation = await reserve_ticket(site, "Katja")
    page = await open_page(reservation.buyer)
    other_tab = await page.context.new_page()
    for tab in (page, other_tab):
        await tab.goto(reservation.order_path)
        await expect(card_fields(tab)[0]).to_be_visible()
    await (pay_by_card(page) if action == "pay" else button(page, "Cancel order").click())
    new_heading = "yours" if action == "pay" else "Order cancelled"
    await asyncio.gather(*(expect(heading(tab, new_heading)).to_be_visible() for tab in (page, other_tab)))


async def test_refund_shows_to_seller_and_buyer_and_frees_the_ticket(open_page, site):
    reservation = await reserve_ticket(site, "Boris", 120)
    page = await open_page(reservation.buyer)
    await page.goto(reservation.order_path)
    await pay_by_card(page)
    await expect(heading(page, "yours")).to_be_visible()
    sellers_page = await open_page(reservation.seller)
    await sellers_page.goto("/sales?show=sold")
    await sellers_page.get_by_text("Refund…").click()
    await button(sellers_page, "Refund $120.00").click()
    await expect(list_row(sellers_page, "Boris")).to_contain_text("Refunded")
    await expect(sellers_page.get_by_role("paragraph").filter(has_text="Earned")).to_contain_text("$0.00")
    await page.reload()
    await expect(heading(page, "Refunded")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text("$120.00")
    await wait_for_reservation(reservation.buyer, reservation.ticket_id, None)
