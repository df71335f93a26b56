"""The HTTP routes of the orders service."""

import asyncio
from decimal import Decimal

import pytest

from ticketing_common.testing import new_user, published, session, wait_until
from ticketing_common.values.events import (
    OrderCancelled,
    OrderCreated,
    OrderRefunded,
    PaymentCreated,
    PaymentRefunded,
    PaymentRefundFailed,
    TicketCreated,
    TicketUpdated,
)
from ticketing_common.values.ids import new_id

BUYER, SELLER = new_user(), new_user()


async def publish_ticket(bus, price="19.99", title="Opera", seller=SELLER):
    """Publish a new ticket; the event may still be in flight when the ticket is ordered."""
    ticket_id = new_id()
    await bus.publish(
        TicketCreated(id=ticket_id, version=0, title=title, price=Decimal(price), user_id=seller.id)
    )
    return ticket_id


async def order(client, ticket_id, user=BUYER):
    return await client.post("/api/orders", json={"ticketId": ticket_id}, headers=session(user))


async def pay(client, bus, order_id):
    await bus.publish(PaymentCreated(id=new_id(), order_id=order_id, stripe_id="pi_1"))

    async def complete():
        answer = await client.get(f"/api/orders/{order_id}", headers=session(BUYER))
        return answer.json()["status"] == "complete"

    await wait_until(complete)


async def refund(client, order_id, user=SELLER):
    return await client.post(f"/api/orders/{order_id}/refund", headers=session(user))


async def test_placed_order_is_shown_and_published(client, bus):
    ticket_id = await publish_ticket(bus)
    placed = await order(client, ticket_id)
    assert placed.status_code == 201, placed.text
    body = placed.json()
    assert body == {
        "id": body["id"],
        "userId": BUYER.id,
        "status": "created",
        "reason": None,
        "expiresAt": body["expiresAt"],
        "version": 0,
        "ticket": {"id": ticket_id, "title": "Opera", "price": 19.99},
    }
    assert body["expiresAt"].endswith("Z")
    assert (await client.get(f"/api/orders/{body['id']}", headers=session(BUYER))).json() == body
    assert (await client.get("/api/orders", headers=session(BUYER))).json() == {"orders": [body]}
    (event,) = await wait_until(lambda: published(bus, OrderCreated))
    assert (event.id, event.ticket.n) == (body["id"], 1)


async def test_one_of_fifty_concurrent_buyers_gets_the_ticket(client, bus):
    ticket_id = await publish_ticket(bus)
    answers = await asyncio.gather(*(order(client, ticket_id, new_user()) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 49
    rejected = next(answer for answer in answers if answer.status_code == 400)
    assert rejected.json() == {"errors": [{"message": "Ticket is already reserved"}]}


async def test_without_the_unique_index_the_same_race_sells_a_ticket_twice(client, bus, database):
    """Negative control: if this fails, the test above proves nothing."""
    await database["orders"].drop_index("claim")
    ticket_id = await publish_ticket(bus)
    answers = await asyncio.gather(*(order(client, ticket_id, new_user()) for _ in range(50)))
    assert sum(answer.status_code == 201 for answer in answers) > 1


async def test_ticket_of_a_cancelled_order_can_be_ordered_again(client, bus):
    ticket_id = await publish_ticket(bus)
    first = (await order(client, ticket_id)).json()
    url = f"/api/orders/{first['id']}"
    for _ in range(2):
        answer = await client.delete(url, headers=session(BUYER))
        assert (answer.status_code, answer.content) == (204, b"")
    cancelled = (await client.get(url, headers=session(BUYER))).json()
    assert (cancelled["status"], cancelled["reason"], cancelled["version"]) == ("cancelled", "user", 1)
    assert (await order(client, ticket_id, new_user())).status_code == 201
    assert len(await wait_until(lambda: published(bus, OrderCancelled))) == 1


async def test_cancelling_a_paid_order_is_rejected(client, bus):
    placed = (await order(client, await publish_ticket(bus))).json()
    await pay(client, bus, placed["id"])
    url = f"/api/orders/{placed['id']}"
    assert (await client.delete(url, headers=session(BUYER))).status_code == 400


async def test_seller_refunds_a_paid_order_and_the_ticket_can_be_ordered_again(client, bus):
    ticket_id = await publish_ticket(bus)
    placed = (await order(client, ticket_id)).json()
    await pay(client, bus, placed["id"])
    answers = [await refund(client, placed["id"]) for _ in range(2)]
    shown = (await client.get(f"/api/orders/{placed['id']}", headers=session(BUYER))).json()
    assert [(a.status_code, a.json()) for a in answers] == [(200, shown)] * 2
    assert (shown["status"], shown["version"]) == ("refunded", 2)
    (event,) = await wait_until(lambda: published(bus, OrderRefunded))
    assert (event.id, event.version, event.user_id, event.ticket.n) == (placed["id"], 2, BUYER.id, 1)
    assert (await order(client, ticket_id, new_user())).status_code == 201


async def test_only_the_seller_can_refund_and_only_a_paid_order(client, bus):
    placed = (await order(client, await publish_ticket(bus))).json()
    assert (await client.post(f"/api/orders/{placed['id']}/refund")).status_code == 401
    for user in (BUYER, new_user()):
        assert (await refund(client, placed["id"], user)).status_code == 401
    assert (await refund(client, "f" * 24)).status_code == 404
    assert (await refund(client, "unknown")).status_code == 404
    unpaid = await refund(client, placed["id"])
    assert (unpaid.status_code, unpaid.json()) == (
        400,
        {"errors": [{"message": "Only a paid order can be refunded"}]},
    )
    await client.delete(f"/api/orders/{placed['id']}", headers=session(BUYER))
    assert (await refund(client, placed["id"])).status_code == 400


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PaymentRefunded, {"status": "done", "message": "The money goes back to the buyer's card"}),
        (
            PaymentRefundFailed,
            {
                "status": "failed",
                "code": "charge_disputed",
                "message": "The refund was refused: the seller has to give the money back another way",
            },
        ),
    ],
)
async def test_outcome_of_a_refund_is_shown_to_seller_and_buyer(client, bus, kind, expected):
    placed = (await order(client, await publish_ticket(bus))).json()
    url = f"/api/orders/{placed['id']}/refund"
    await pay(client, bus, placed["id"])
    assert (await client.get(url, headers=session(SELLER))).status_code == 404
    await refund(client, placed["id"])
    pending = (await client.get(url, headers=session(SELLER))).json()
    assert pending == {"status": "pending", "message": "The refund is on its way"}
    code = {"code": "charge_disputed"} if kind is PaymentRefundFailed else {}
    await bus.publish(kind(id=new_id(), version=7, order_id=placed["id"], **code))

    async def is_shown():
        return (await client.get(url, headers=session(SELLER))).json() == expected

    await wait_until(is_shown)
    assert (await client.get(url, headers=session(BUYER))).json() == expected
    assert (await client.get(url, headers=session(new_user()))).status_code == 401


async def test_later_price_change_does_not_change_an_order(client, bus):
    ticket_id = await publish_ticket(bus)
    placed = (await order(client, ticket_id)).json()
    await bus.publish(
        TicketUpdated(id=ticket_id, version=1, title="Ballet", price=Decimal(5), user_id=new_id())
    )
    await client.delete(f"/api/orders/{placed['id']}", headers=session(BUYER))

    async def order_at_new_price():
        again = await order(client, ticket_id)
        if again.json()["ticket"]["title"] == "Ballet":
            return again
        await client.delete(f"/api/orders/{again.json()['id']}", headers=session(BUYER))
        return None

    await wait_until(order_at_new_price)
    shown = (await client.get(f"/api/orders/{placed['id']}", headers=session(BUYER))).json()
    assert shown["ticket"] == {"id": ticket_id, "title": "Opera", "price": 19.99}


@pytest.mark.parametrize("ticket_id", ["unknown", "f" * 24, "0" * 24])
async def test_order_of_an_unknown_or_malformed_ticket_is_404(client, ticket_id):
    assert (await order(client, ticket_id)).status_code == 404


@pytest.mark.parametrize("body", [{}, {"ticketId": 7}, {"ticketId": None}, {"ticketId": ["a"]}])
async def test_ticket_id_of_another_type_is_rejected_by_name(client, body):
    answer = await client.post("/api/orders", json=body, headers=session(BUYER))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "ticketId"


async def test_orders_are_accessible_only_to_their_buyer(client, bus):
    placed = (await order(client, await publish_ticket(bus))).json()
    url = f"/api/orders/{placed['id']}"
    other = session(new_user())
    assert (await client.get(url)).status_code == 401
    assert (await client.get(url, headers=other)).status_code == 401
    assert (await client.delete(url)).status_code == 401
    assert (await client.delete(url, headers=other)).status_code == 401
    assert (await client.get("/api/orders")).status_code == 401
    assert (await client.get("/api/orders", headers=other)).json() == {"orders": []}
    assert (await client.get("/api/orders/unknown", headers=other)).status_code == 404
    assert (await client.delete(f"/api/orders/{'f' * 24}", headers=other)).status_code == 404


async def test_pages_contain_all_orders_oldest_first(client, bus):
    placed = [(await order(client, await publish_ticket(bus))).json()["id"] for _ in range(5)]
    seen, url = [], "/api/orders?limit=2"
    while url:
        page = await client.get(url, headers=session(BUYER))
        seen += [each["id"] for each in page.json()["orders"]]
        url = page.links.get("next", {}).get("url")
    assert seen == placed
