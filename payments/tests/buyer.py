"""A buyer, the orders service's events about their order, and its intents at Stripe."""

from datetime import timedelta
from decimal import Decimal

from ticketing_common.testing import new_user, session, wait_until
from ticketing_common.values.clock import now
from ticketing_common.values.events import (
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderedTicket,
    OrderRefunded,
    PricedTicket,
)
from ticketing_common.values.ids import new_id

BUYER = new_user()


async def place_order(bus, expires_in=timedelta(minutes=15)):
    """Publish that an order was placed. Its event may still be in flight when this returns the order's id."""
    order_id = new_id()
    await bus.publish(
        OrderCreated(
            id=order_id,
            version=0,
            status="created",
            user_id=BUYER.id,
            expires_at=now() + expires_in,
            ticket=PricedTicket(id=new_id(), n=1, price=Decimal("19.99")),
        )
    )
    return order_id


async def decide(bus, order_id, how):
    """Publish that an order was completed ("complete"), refunded ("refund") or cancelled."""
    ticket = OrderedTicket(id=new_id(), n=1)
    if how == "complete":
        await bus.publish(OrderCompleted(id=order_id, version=1, user_id=BUYER.id, ticket=ticket))
    elif how == "refund":
        await bus.publish(OrderRefunded(id=order_id, version=2, user_id=BUYER.id, ticket=ticket))
    else:
        await bus.publish(OrderCancelled(id=order_id, version=1, reason="user", ticket=ticket))


async def pay(client, order_id, token="tok_visa", user=BUYER):
    """The time-out is a little longer than the service's own."""
    body = {"orderId": order_id, "token": token}
    return await client.post("/api/payments", json=body, headers=session(user), timeout=15)


async def metric(client, name):
    """The value of a metric, whose name includes the labels; 0 if there is none."""
    lines = (await client.get("/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


async def intents_of(intents, order_id):
    return [
        intent
        for intent in (await intents.list_async({"limit": 100})).data
        if "orderId" in intent.metadata and intent.metadata["orderId"] == order_id
    ]


async def reaches(intents, order_id, status, seconds=30):
    """Wait until the order's only intent has this status. Returns the intent."""

    async def reached():
        (intent,) = await intents_of(intents, order_id)
        return intent if intent.status == status else None

    return await wait_until(reached, seconds)
