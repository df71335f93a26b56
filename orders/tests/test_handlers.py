"""What the orders service makes of the events it follows."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from orders.handlers import HANDLERS
from orders.models import NoSuchOrder, Ticket, place
from ticketing_common.aggregate import NotDueYet
from ticketing_common.clock import now
from ticketing_common.events import (
    ExpirationComplete,
    PaymentCreated,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundFailed,
    TicketCreated,
    TicketUpdated,
)
from ticketing_common.mongo import new_id


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


async def order_placed(orders, window):
    ticket = Ticket(id=new_id(), title="Opera", price_cents=1000)
    return await orders.claim(ticket.id, lambda last: place(new_id(), "buyer", ticket, last, now(), window))


@pytest.fixture
async def order(orders):
    return await order_placed(orders, timedelta(minutes=15))


@pytest.fixture
async def due_order(orders):
    return await order_placed(orders, timedelta(0))


async def test_a_ticket_is_copied_version_by_version(orders):
    events = ticket_events()
    await handle(orders, *events)
    copy = await orders.ticket(events[0].id)
    assert (copy.version, copy.title, copy.price_cents, copy.seller_id) == (2, "v2", 300, "s")


async def test_duplicate_and_stale_ticket_events_change_nothing(orders):
    created, first, second = ticket_events()
    await handle(orders, created, created, first, created, second, first, second)
    assert (await orders.ticket(created.id)).title == "v2"


async def test_lost_ticket_event_heals_with_the_next(orders):
    created, first, second = ticket_events()
    await handle(orders, created, second, first)
    copy = await orders.ticket(created.id)
    assert (copy.version, copy.title, copy.price_cents) == (2, "v2", 300)


async def test_ticket_whose_creation_was_lost_is_copied_from_its_next_event(orders):
    _, first, _ = ticket_events()
    await handle(orders, first)
    assert (await orders.ticket(first.id)).title == "v1"


async def test_newest_of_ticket_events_handled_at_once_is_kept(orders):
    for _ in range(10):
        events = ticket_events()
        await asyncio.gather(*(handle(orders, event) for event in events))
        assert (await orders.ticket(events[0].id)).version == 2


async def forget_seller(database, ticket_id):
    """As an old release stored the ticket and its orders: without the seller."""
    await database["tickets"].update_one({"_id": ticket_id}, {"$unset": {"seller_id": ""}})
    await database["orders"].update_many({"ticket.id": ticket_id}, {"$unset": {"seller_id": ""}})


async def old_order(orders, database):
    """An order placed before sellers were kept, and the events of its ticket."""
    events = ticket_events()
    await handle(orders, events[0])
    ticket = await orders.ticket(events[0].id)
    order = await orders.claim(
        ticket.id, lambda last: place(new_id(), "buyer", ticket, last, now(), timedelta(minutes=15))
    )
    await forget_seller(database, ticket.id)
    assert (await orders.get(order.id)).seller_id is None
    return order, events


@pytest.mark.parametrize("which", [0, 1], ids=["published again", "the next one"])
async def test_order_placed_before_sellers_were_kept_learns_its_seller(orders, database, which):
    order, events = await old_order(orders, database)
    another, _ = await old_order(orders, database)
    await handle(orders, events[which])
    assert (await orders.get(order.id)).seller_id == "s"
    assert (await orders.ticket(order.ticket.id)).seller_id == "s"
    assert (await orders.get(another.id)).seller_id is None


async def test_redelivery_completes_a_migration_that_was_cut_off(orders, database):
    order, events = await old_order(orders, database)
    await database["tickets"].update_one({"_id": order.ticket.id}, {"$set": {"seller_id": "s"}})
    await handle(orders, events[0])
    assert (await orders.get(order.id)).seller_id == "s"


async def test_an_expired_order_is_cancelled_once(orders, due_order):
    await handle(orders, *[ExpirationComplete(order_id=due_order.id)] * 2)
    expired = await orders.get(due_order.id)
    assert (expired.status, expired.reason, expired.version) == ("cancelled", "expired", 1)


async def test_order_does_not_expire_early_when_the_clock_of_expiration_is_ahead(orders, order):
    with pytest.raises(NotDueYet) as raised:
        await handle(orders, ExpirationComplete(order_id=order.id))
    assert raised.value.due_at == order.expires_at
    assert (await orders.get(order.id)).status == "created"


async def test_early_expiry_of_a_decided_order_is_handled(orders, order):
    paid = PaymentCreated(id=new_id(), order_id=order.id, stripe_id="pi_1")
    await handle(orders, paid, ExpirationComplete(order_id=order.id))
    assert (await orders.get(order.id)).status == "complete"


async def test_a_payment_completes_the_order_once(orders, order):
    await handle(orders, *[PaymentCreated(id=new_id(), order_id=order.id, stripe_id="pi_1")] * 2)
    assert ((await orders.get(order.id)).status, (await orders.get(order.id)).version) == ("complete", 1)


async def test_a_failed_payment_cancels_the_order_once(orders, order):
    await handle(orders, *[PaymentFailed(order_id=order.id, code="card_declined")] * 2)
    failed = await orders.get(order.id)
    assert (failed.status, failed.reason, failed.version) == ("cancelled", "payment-failed", 1)


async def test_what_comes_second_finds_the_order_decided(orders, due_order):
    paid = PaymentCreated(id=new_id(), order_id=due_order.id, stripe_id="pi_1")
    await handle(orders, ExpirationComplete(order_id=due_order.id), paid)
    assert (await orders.get(due_order.id)).status == "cancelled"


async def test_what_is_told_of_a_refund_may_come_twice_and_out_of_order(orders, order):
    done = PaymentRefunded(id=new_id(), version=6, order_id=order.id)
    failed = PaymentRefundFailed(id=done.id, version=8, order_id=order.id, code="declined")
    await handle(orders, failed, done, failed, done)
    refund = await orders.refund_of(order.id)
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
async def test_an_event_of_an_order_we_never_had_is_no_silent_loss(orders, event):
    with pytest.raises(NoSuchOrder):
        await handle(orders, event)
