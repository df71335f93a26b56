"""What the orders service shows beyond a single order: lists, sales, and who may still buy a ticket."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from orders.models import Ticket, cancel, complete, place, refund, withdraw
from ticketing_common.clock import now
from ticketing_common.events import TicketCreated
from ticketing_common.mongo import new_id
from ticketing_common.testing import new_user, session, wait_until

BUYER, SELLER = new_user(), new_user()


async def placed(orders, *decisions, ticket_id=None, seller_id=SELLER.id, price_cents=1999):
    """An order that has gone through these decisions."""
    ticket = Ticket(id=ticket_id or new_id(), title="Opera", price_cents=price_cents, seller_id=seller_id)
    order = await orders.claim(
        ticket.id, lambda last: place(new_id(), BUYER.id, ticket, last, now(), timedelta(minutes=15))
    )
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


async def test_pages_lead_through_ones_own_orders_newest_first(client, orders):
    ids = [(await placed(orders)).id for _ in range(5)]
    found = await pages(client, "/api/orders?newestFirst=true&limit=2", BUYER)
    assert found == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    assert await pages(client, "/api/orders?newestFirst=false", BUYER) == [ids]


async def test_newest_first_is_true_or_false(client):
    answer = await client.get("/api/orders?newestFirst=perhaps", headers=session(BUYER))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "newestFirst")


async def test_a_seller_sees_what_was_sold_and_what_it_earned(client, orders):
    assert await sales(client) == {"orders": [], "reserved": 0, "sold": 0, "earnings": 0}
    waiting = await placed(orders)
    sold = await placed(orders, complete)
    shown = (await client.get(f"/api/orders/{sold.id}", headers=session(BUYER))).json()
    amounts = {"reserved": 1, "sold": 1, "earnings": 19.99}
    assert await sales(client) == {"orders": [shown], **amounts}
    assert [each["id"] for each in (await sales(client, "?status=created"))["orders"]] == [waiting.id]
    assert await sales(client, "?status=refunded") == {"orders": [], **amounts}


async def test_a_refund_leaves_the_earnings_and_a_cancellation_was_never_in_them(client, orders):
    kept = await placed(orders, complete, price_cents=500)
    refunded = await placed(orders, complete, refund)
    await placed(orders, withdraw)
    await placed(orders, partial(cancel, reason="expired"))
    shown = await sales(client)
    assert [each["id"] for each in shown["orders"]] == [kept.id]
    assert (shown["reserved"], shown["sold"], shown["earnings"]) == (0, 1, 5)
    assert [each["id"] for each in (await sales(client, "?status=refunded"))["orders"]] == [refunded.id]


async def test_earnings_are_exact_and_of_all_pages(client, orders):
    ids = [(await placed(orders, complete)).id for _ in range(3)]
    assert await pages(client, "/api/orders/sales?status=complete&limit=2", SELLER) == [
        [ids[2], ids[1]],
        [ids[0]],
    ]
    for query in ("?limit=1", f"?cursor={ids[0]}"):
        page = await sales(client, query)
        assert (page["sold"], page["earnings"]) == (3, 59.97)


async def test_the_sales_of_others_are_not_shown(client, orders):
    await placed(orders, complete, seller_id=new_user().id)
    await placed(orders, complete, seller_id=None)
    nothing = {"orders": [], "reserved": 0, "sold": 0, "earnings": 0}
    assert await sales(client) == await sales(client, user=BUYER) == nothing


async def test_sales_are_for_those_signed_in(client):
    assert (await client.get("/api/orders/sales")).status_code == 401
    assert (await client.get("/api/orders/sales?status=unknown")).status_code == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "cancelled"), ("status", ""), ("limit", "0"), ("limit", "101"), ("cursor", "unknown")],
)
async def test_a_wrong_question_about_sales_is_400_with_the_field(client, field, value):
    answer = await client.get(f"/api/orders/sales?{field}={value}", headers=session(SELLER))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


async def test_anybody_sees_whether_a_ticket_is_held_and_until_when(client, orders, bus, database):
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
    order = await placed(orders, ticket_id=ticket_id)
    shown = (await client.get(f"/api/orders/{order.id}", headers=session(BUYER))).json()
    assert await hold() == {"status": "reserved", "until": shown["expiresAt"]}
    await orders.change(order.id, withdraw)
    assert await hold() == free
    order = await placed(orders, complete, ticket_id=ticket_id)
    assert await hold() == sold
    await orders.change(order.id, refund)
    assert await hold() == free


async def test_the_hold_of_a_ticket_whose_event_is_still_in_flight_is_waited_for(client, bus):
    ticket_id = new_id()
    asking = asyncio.create_task(client.get(f"/api/orders/holds/{ticket_id}"))
    await asyncio.sleep(0.5)
    await bus.publish(
        TicketCreated(id=ticket_id, version=0, title="Opera", price=Decimal("19.99"), user_id=SELLER.id)
    )
    assert (await asking).status_code == 200


@pytest.mark.parametrize("ticket_id", ["unknown", "f" * 24, "0" * 24])
async def test_the_hold_of_an_unknown_or_malformed_ticket_is_404(client, ticket_id):
    answer = await client.get(f"/api/orders/holds/{ticket_id}")
    assert (answer.status_code, answer.json()) == (404, {"errors": [{"message": "There is no such ticket"}]})
