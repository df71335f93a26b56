"""The event handlers of the orders service."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from orders.handlers import HANDLERS
from orders.models import Ticket
from orders.use_cases import claim_ticket
from ticketing_common.values.aggregate import NotDueYet
from ticketing_common.values.errors import NotFound
from ticketing_common.values.events import (
    ExpirationComplete,
    PaymentCreated,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundFailed,
    TicketCreated,
    TicketUpdated,
)
from ticketing_common.values.ids import new_id


async def handle(orders, *events):
    for event in events:
        await HANDLERS[type(event)](event, orders)


def ticket_events():
    ticket_id = new_id()
    return [
        TicketCreated(id=ticket_id, version=0, title="v0", price=Decimal(1), user_id="s"),
        TicketUpdated(id=ticket_id, version=1, title="v1", price=Decimal(2), user_id="s"),
        TicketUpdated(id=ticket_id, version=2, title="v2", price=Decimal(3), user_id="s"),
    ]


async def place(orders, window):
    ticket = Ticket(id=new_id(), title="Opera", price_cents=1000)
    return await claim_ticket(orders, ticket, "buyer", window)


@pytest.fixture
async def order(orders):
    return await place(orders, timedelta(minutes=15))


@pytest.fixture
async def due_order(orders):
    return await place(orders, timedelta(0))


async def test_ticket_copy_is_updated_with_each_version(orders):
    events = ticket_events()
    await handle(orders, *events)
    copy = await orders.get_ticket(events[0].id)
    assert (copy.version, copy.title, copy.price_cents, copy.seller_id) == (2, "v2", 300, "s")


async def test_duplicate_and_stale_ticket_events_change_nothing(orders):
    created, first, second = ticket_events()
    await handle(orders, created, created, first, created, second, first, second)
    assert (await orders.get_ticket(created.id)).title == "v2"


async def test_next_ticket_event_makes_up_for_a_lost_one(orders):
    created, first, second = ticket_events()
    await handle(orders, created, second, first)
    copy = await orders.get_ticket(created.id)
    assert (copy.version, copy.title, copy.price_cents) == (2, "v2", 300)


async def test_ticket_copy_is_created_from_a_later_event_if_the_first_was_lost(orders):
    _, first, _ = ticket_events()
    await handle(orders, first)
    assert (await orders.get_ticket(first.id)).title == "v1"


async def test_newest_of_concurrent_ticket_events_is_stored(orders):
    for _ in range(10):
        events = ticket_events()
        await asyncio.gather(*(handle(orders, event) for event in events))
        assert (await orders.get_ticket(events[0].id)).version == 2


async def remove_seller(database, ticket_id):
    """Change the ticket and its orders to what a release without sellers stored."""
    await database["tickets"].update_one({"_id": ticket_id}, {"$unset": {"seller_id": ""}})
    await database["orders"].update_many({"ticket.id": ticket_id}, {"$unset": {"seller_id": ""}})


async def place_order_without_seller(orders, database):
    """An order placed with a release without sellers, and the events of its ticket."""
    events = ticket_events()
    await handle(orders, events[0])
    ticket = await orders.get_ticket(events[0].id)
    order = await claim_ticket(orders, ticket, "buyer", timedelta(minutes=15))
    await remove_seller(database, ticket.id)
    assert (await orders.get(order.id)).seller_id is None
    return order, events


@pytest.mark.parametrize("which", [0, 1], ids=["duplicate", "next"])
async def test_ticket_event_adds_the_seller_to_an_order_placed_without_one(orders, database, which):
    order, events = await place_order_without_seller(orders, database)
    another, _ = await place_order_without_seller(orders, database)
    await handle(orders, events[which])
    assert (await orders.get(order.id)).seller_id == "s"
    assert (await orders.get_ticket(order.ticket.id)).seller_id == "s"
    assert (await orders.get(another.id)).seller_id is None


async def test_redelivery_completes_an_interrupted_migration(orders, database):
    order, events = await place_order_without_seller(orders, database)
    await database["tickets"].update_one({"_id": order.ticket.id}, {"$set": {"seller_id": "s"}})
    await handle(orders, events[0])
    assert (await orders.get(order.id)).seller_id == "s"


async def test_duplicate_expiry_cancels_the_order_once(orders, due_order):
    await handle(orders, *[ExpirationComplete(order_id=due_order.id)] * 2)
    expired = await orders.get(due_order.id)
    assert (expired.status, expired.reason, expired.version) == ("cancelled", "expired", 1)


async def test_order_does_not_expire_early_if_the_clock_of_expiration_is_ahead(orders, order):
    with pytest.raises(NotDueYet) as raised:
        await handle(orders, ExpirationComplete(order_id=order.id))
    assert raised.value.due_at == order.expires_at
    assert (await orders.get(order.id)).status == "created"


async def test_early_expiry_of_a_paid_order_is_acknowledged(orders, order):
    paid = PaymentCreated(id=new_id(), order_id=order.id, stripe_id="pi_1")
    await handle(orders, paid, ExpirationComplete(order_id=order.id))
    assert (await orders.get(order.id)).status == "complete"


async def test_duplicate_payment_completes_the_order_once(orders, order):
    await handle(orders, *[PaymentCreated(id=new_id(), order_id=order.id, stripe_id="pi_1")] * 2)
    assert ((await orders.get(order.id)).status, (await orders.get(order.id)).version) == ("complete", 1)


async def test_duplicate_failed_payment_cancels_the_order_once(orders, order):
    await handle(orders, *[PaymentFailed(order_id=order.id, code="card_declined")] * 2)
    failed = await orders.get(order.id)
    assert (failed.status, failed.reason, failed.version) == ("cancelled", "payment-failed", 1)


async def test_payment_after_the_expiry_does_not_complete_the_order(orders, due_order):
    paid = PaymentCreated(id=new_id(), order_id=due_order.id, stripe_id="pi_1")
    await handle(orders, ExpirationComplete(order_id=due_order.id), paid)
    assert (await orders.get(due_order.id)).status == "cancelled"


async def test_newest_refund_event_is_stored_in_any_order_of_arrival(orders, order):
    done = PaymentRefunded(id=new_id(), version=6, order_id=order.id)
    failed = PaymentRefundFailed(id=done.id, version=8, order_id=order.id, code="declined")
    await handle(orders, failed, done, failed, done)
    refund = await orders.find_refund(order.id)
    assert (refund.status, refund.code) == ("failed", "declined")


@pytest.mark.parametrize(
    "event",
    [
        ExpirationComplete(order_id="f" * 24),
        PaymentCreated(id="f" * 24, order_id="f" * 24, stripe_id="pi_1"),
        PaymentFailed(order_id="f" * 24, code="card_declined"),
    ],
    ids=lambda event: event.subject,
)
async def test_event_of_an_unknown_order_raises_an_error(orders, event):
    with pytest.raises(NotFound):
        await handle(orders, event)
