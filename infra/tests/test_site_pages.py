"""Pages and forms of the site with running services, without a browser."""

import pytest
from api_calls import buy_ticket, list_ticket, place_order

from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_invalid_cursor_leads_to_the_first_page(long_window_stack):
    visitor = await long_window_stack.sign_up()
    for path in ("/", "/orders", "/sales"):
        page = await visitor.get(path, params={"cursor": "nonsense"})
        assert (page.status_code, page.headers["location"]) == (303, path)


async def test_buy_form_sent_from_two_tabs_leads_to_one_order(long_window_stack):
    seller, buyer = await long_window_stack.sign_up(), await long_window_stack.sign_up()
    ticket_id = await list_ticket(seller)
    sent = [await buyer.post(f"/tickets/{ticket_id}", data={"form_key": new_id()}) for _ in range(2)]
    assert [page.status_code for page in sent] == [303, 303]
    assert sent[0].headers["location"] == sent[1].headers["location"]
    assert len((await buyer.get("/api/orders")).json()["orders"]) == 1


async def test_second_buyer_reads_that_somebody_else_was_faster(long_window_stack):
    seller, buyer, late = [await long_window_stack.sign_up() for _ in range(3)]
    ticket_id = await list_ticket(seller)
    await place_order(buyer, ticket_id)
    page = await late.post(f"/tickets/{ticket_id}", data={"form_key": new_id()})
    assert (page.status_code, "Somebody else was faster" in page.text) == (400, True)


async def test_form_that_is_rejected_shows_the_input_and_the_reason(long_window_stack):
    seller = await long_window_stack.sign_up()
    page = await seller.post("/tickets/new", data={"title": "Opera", "price": "0.10"})
    assert page.status_code == 400
    assert 'value="Opera"' in page.text
    assert "Enter a price in dollars from 0.50" in page.text


async def test_complete_order_cannot_be_cancelled_and_is_refunded_once(long_window_stack):
    seller, buyer = await long_window_stack.sign_up(), await long_window_stack.sign_up()
    order_id = await buy_ticket(buyer, await list_ticket(seller))
    page = await buyer.post(f"/orders/{order_id}")
    assert (page.status_code, 'role="alert"' in page.text) == (400, True)
    page = await seller.post("/sales", data={"order_id": order_id})
    assert (page.status_code, page.headers["location"]) == (303, "/sales?show=refunded&said=refunded")


async def test_order_that_is_not_complete_cannot_be_refunded(long_window_stack):
    seller, buyer = await long_window_stack.sign_up(), await long_window_stack.sign_up()
    order = await place_order(buyer, await list_ticket(seller))
    page = await seller.post("/sales", data={"order_id": order["id"]})
    assert (page.status_code, 'role="alert"' in page.text) == (400, True)


async def test_sign_up_form_sent_again_with_another_password_says_that_the_account_exists(long_window_stack):
    visitor = await long_window_stack.sign_up()
    form = {"email": f"{new_id()}@example.com", "form_key": new_id()}
    for password, status in (("correct horse", 303), ("battery staple", 400)):
        visitor.cookies.clear()
        page = await visitor.post("/auth/signup", data={**form, "password": password})
        assert page.status_code == status, page.text
    assert "This form already made an account" in page.text


async def test_sign_in_form_says_how_long_to_wait_after_too_many_tries(long_window_stack):
    visitor = await long_window_stack.sign_up()
    visitor.cookies.clear()
    form = {"email": f"{new_id()}@example.com", "password": "wrong horse"}
    for _ in range(10):
        assert (await visitor.post("/auth/signin", data=form)).status_code == 400
    page = await visitor.post("/auth/signin", data=form)
    assert (page.status_code, "Wait 15 minutes" in page.text) == (429, True)
