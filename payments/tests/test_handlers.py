"""What the payments service makes of the orders' events."""

from decimal import Decimal
from functools import partial

import pytest
from payment_cases import AUTHORISED, CAPTURED

from payments.handlers import HANDLERS
from payments.models import begin, note, observe
from payments.schedule import task
from ticketing_common.values.aggregate import EarlierEventMissing
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


def order_events():
    order_id, ticket_id = new_id(), new_id()
    ticket = OrderedTicket(id=ticket_id, n=1)
    created = OrderCreated(
        id=order_id,
        version=0,
        status="created",
        user_id="buyer",
        expires_at=now().replace(year=2100),
        ticket=PricedTicket(id=ticket_id, n=1, price=Decimal("19.99")),
    )
    cancelled = OrderCancelled(id=order_id, version=1, reason="user", ticket=ticket)
    completed = OrderCompleted(id=order_id, version=1, user_id="buyer", ticket=ticket)
    refunded = OrderRefunded(id=order_id, version=2, user_id="buyer", ticket=ticket)
    return created, cancelled, completed, refunded


async def handle(payments, *events):
    for event in events:
        await HANDLERS[type(event)](event, payments)


async def test_a_new_order_is_owed_in_cents(payments):
    created, *_ = order_events()
    await handle(payments, created)
    payment = await payments.of_order(created.id)
    assert (payment.amount_cents, payment.user_id, payment.status) == (1999, "buyer", "unpaid")


async def test_every_event_may_come_twice_and_late(payments):
    created, cancelled, *_ = order_events()
    await handle(payments, created, created)
    first = await payments.of_order(created.id)
    await handle(payments, cancelled, cancelled, created)
    payment = await payments.of_order(created.id)
    assert (payment.id, payment.order_status, payment.version) == (first.id, "cancelled", 1)


@pytest.mark.parametrize("end", [1, 2], ids=["cancelled", "completed"])
async def test_an_early_end_is_put_back(payments, end):
    events = order_events()
    with pytest.raises(EarlierEventMissing):
        await handle(payments, events[end])
    await handle(payments, events[0], events[end])
    assert (await payments.of_order(events[0].id)).order_version == 1


async def paid(payments, created, seen=AUTHORISED):
    """The order's event, and what Stripe says of the buyer's try."""
    await handle(payments, created)
    await payments.change(created.id, lambda p: note(begin(p, "buyer", now()), "pi_1"))
    return await payments.change(created.id, partial(observe, seen=seen))


@pytest.mark.parametrize(
    ("ends", "todo"),
    [([1], "void"), ([2], "capture"), ([2, 3], "void")],
    ids=["cancelled", "completed", "refunded before it was captured"],
)
async def test_the_end_of_an_authorised_order_makes_its_settlement_due(payments, ends, todo):
    events = order_events()
    await paid(payments, events[0])
    assert await payments.claim_due("replica") is None
    await handle(payments, *(events[n] for n in ends))
    assert payments.something_open.is_set()
    payment = await payments.claim_due("replica")
    assert payment.order_id == events[0].id
    assert task(payment) == todo
    assert await payments.due_longest() == payment.due_since


async def test_the_refund_of_a_captured_payment_is_due(payments):
    created, _, completed, refunded = order_events()
    await paid(payments, created, CAPTURED)
    await handle(payments, completed)
    assert await payments.claim_due("replica") is None
    with pytest.raises(EarlierEventMissing):
        await handle(payments, refunded.model_copy(update={"version": 3}))
    await handle(payments, refunded, refunded)
    payment = await payments.claim_due("replica")
    assert task(payment) == "refund"
