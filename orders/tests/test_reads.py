"""The lists of orders and sales, and the holds of tickets."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from orders.models import Ticket, cancel, cancel_by_buyer, complete, refund
from orders.use_cases import claim_ticket
from ticketing_common.testing import new_user, session, wait_until
from ticketing_common.values.events import TicketCreated
from ticketing_common.values.ids import new_id

BUYER, SELLER = new_user(), new_user()


async def place(orders, *decisions, ticket_id=None, seller_id=SELLER.id, price_cents=1999):
    """Place an order and apply these decisions to it."""
    ticket = Ticket(id=ticket_id or new_id(), title="Opera", price_cents=price_cents, seller_id=seller_id)
    order = await claim_ticket(orders, ticket, BUYER.id, timedelta(minutes=15))
    for decision in decisions:
        order = await orders.change(order.id, decision)
    return order


async def sales(client, query="", user=SELLER):
    answer = await client.get(f"/api/orders/sales{query}", headers=session(user))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def pages(client, url, user):
    """The ids of the orders of every page, one list a page."""
    found = []
    while url:
        page = await client.get(url, headers=session(user))
        found.append([each["id"] for each in page.json()["orders"]])
        url = page.links.get("next", {}).get("url")
    return found


async def test_pages_contain_the_buyers_orders_newest_first(client, orders):
    ids = [(await place(orders)).id for _ in range(5)]
    found = await pages(client, "/api/orders?newestFirst=true&limit=2", BUYER)
    assert found == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    assert await pages(client, "/api/orders?newestFirst=false", BUYER) == [ids]


async def test_invalid_newest_first_is_rejected(client):
    answer = await client.get("/api/orders?newestFirst=perhaps", headers=session(BUYER))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "newestFirst")


async def test_seller_sees_sold_tickets_and_totals(client, orders):
    assert await sales(client) == {"orders": [], "reserved": 0, "sold": 0, "earnings": 0}
    unpaid = await place(orders)
    sold = await place(orders, complete)
    shown = (await client.get(f"/api/orders/{sold.id}", headers=session(BUYER))).json()
    amounts = {"reserved": 1, "sold": 1, "earnings": 19.99}
    assert await sales(client) == {"orders": [shown], **amounts}
    assert [each["id"] for each in (await sales(client, "?status=created"))["orders"]] == [unpaid.id]
    assert await sales(client, "?status=refunded") == {"orders": [], **amounts}


async def test_refunded_and_cancelled_orders_are_not_in_the_earnings(client, orders):
    sold = await place(orders, complete, price_cents=500)
    refunded = await place(orders, complete, refund)
    await place(orders, cancel_by_buyer)
    await place(orders, partial(cancel, reason="expired"))
    shown = await sales(client)
    assert [each["id"] for each in shown["orders"]] == [sold.id]
    assert (shown["reserved"], shown["sold"], shown["earnings"]) == (0, 1, 5)
    assert [each["id"] for each in (await sales(client, "?status=refunded"))["orders"]] == [refunded.id]


async def test_earnings_are_exact_and_cover_all_pages(client, orders):
    ids = [(await place(orders, complete)).id for _ in range(3)]
    assert await pages(client, "/api/orders/sales?status=complete&limit=2", SELLER) == [
        [ids[2], ids[1]],
        [ids[0]],
    ]
    for query in ("?limit=1", f"?cursor={ids[0]}"):
        page = await sales(client, query)
        assert (page["sold"], page["earnings"]) == (3, 59.97)


async def test_sales_of_other_sellers_are_not_shown(client, orders):
    await place(orders, complete, seller_id=new_user().id)
    await place(orders, complete, seller_id=None)
    nothing = {"orders": [], "reserved": 0, "sold": 0, "earnings": 0}
    assert await sales(client) == await sales(client, user=BUYER) == nothing


async def test_sales_require_a_session(client):
    assert (await client.get("/api/orders/sales")).status_code == 401
    assert (await client.get("/api/orders/sales?status=unknown")).status_code == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "cancelled"), ("status", ""), ("limit", "0"), ("limit", "101"), ("cursor", "unknown")],
)
async def test_invalid_sales_parameter_is_rejected_by_name(client, field, value):
    answer = await client.get(f"/api/orders/sales?{field}={value}", headers=session(SELLER))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


async def test_hold_of_a_ticket_is_public(client, orders, bus, database):
    ticket_id = new_id()

    async def hold():
        answer = await client.get(f"/api/orders/holds/{ticket_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    free, sold = {"status": "free", "until": None}, {"status": "sold", "until": None}
    await bus.publish(
        TicketCreated(id=ticket_id, version=0, title="Opera", price=Decimal("19.99"), user_id=SELLER.id)
    )
    await wait_until(lambda: database["tickets"].find_one({"_id": ticket_id}))
    assert await hold() == free
    order = await place(orders, ticket_id=ticket_id)
    shown = (await client.get(f"/api/orders/{order.id}", headers=session(BUYER))).json()
    assert await hold() == {"status": "reserved", "until": shown["expiresAt"]}
    await orders.change(order.id, cancel_by_buyer)
    assert await hold() == free
    order = await place(orders, complete, ticket_id=ticket_id)
    assert await hold() == sold
    await orders.change(order.id, refund)
    assert await hold() == free


async def test_hold_waits_for_the_event_of_a_new_ticket(client, bus):
    ticket_id = new_id()
    request = asyncio.create_task(client.get(f"/api/orders/holds/{ticket_id}"))
    await asyncio.sleep(0.5)
    await bus.publish(
        TicketCreated(id=ticket_id, version=0, title="Opera", price=Decimal("19.99"), user_id=SELLER.id)
    )
    assert (await request).status_code == 200


@pytest.mark.parametrize("ticket_id", ["unknown", "f" * 24, "0" * 24])
async def test_hold_of_an_unknown_or_malformed_ticket_is_404(client, ticket_id):
    answer = await client.get(f"/api/orders/holds/{ticket_id}")
    assert (answer.status_code, answer.json()) == (404, {"errors": [{"message": "There is no such ticket"}]})
