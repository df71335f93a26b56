"""What the orders' events do to a payment."""

from decimal import Decimal
from functools import partial

import pytest
from payment_cases import AUTHORISED, CAPTURED

from payments.handlers import HANDLERS
from payments.payment.models import apply_intent, record_intent, start_attempt
from payments.payment.scheduling import next_task
from payments.payment.use_cases import change_payment
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


async def test_new_order_gets_a_payment_in_cents(payments):
    created, *_ = order_events()
    await handle(payments, created)
    payment = await payments.get_by_order(created.id)
    assert (payment.amount_cents, payment.user_id, payment.status) == (1999, "buyer", "unpaid")


async def test_duplicate_and_late_events_change_nothing(payments):
    created, cancelled, *_ = order_events()
    await handle(payments, created, created)
    first = await payments.get_by_order(created.id)
    await handle(payments, cancelled, cancelled, created)
    payment = await payments.get_by_order(created.id)
    assert (payment.id, payment.order_status, payment.version) == (first.id, "cancelled", 1)


@pytest.mark.parametrize("decision", [1, 2], ids=["cancelled", "completed"])
async def test_event_before_order_created_is_put_back(payments, decision):
    events = order_events()
    with pytest.raises(EarlierEventMissing):
        await handle(payments, events[decision])
    await handle(payments, events[0], events[decision])
    assert (await payments.get_by_order(events[0].id)).order_version == 1


async def pay(payments, created, intent=AUTHORISED):
    await handle(payments, created)
    await change_payment(
        payments, created.id, lambda p: record_intent(start_attempt(p, "buyer", now()), "pi_1")
    )
    await change_payment(payments, created.id, partial(apply_intent, intent=intent))


@pytest.mark.parametrize(
    ("decisions", "task"),
    [([1], "void"), ([2], "capture"), ([2, 3], "void")],
    ids=["cancelled", "completed", "refunded before it was captured"],
)
async def test_decision_about_an_authorised_order_makes_its_settlement_due(payments, decisions, task):
    events = order_events()
    await pay(payments, events[0])
    assert await payments.lease_due("replica") is None
    await handle(payments, *(events[n] for n in decisions))
    assert payments.work_is_due.is_set()
    payment = await payments.lease_due("replica")
    assert payment.order_id == events[0].id
    assert next_task(payment) == task
    assert await payments.find_oldest_due() == payment.due_since


async def test_refund_of_a_captured_payment_is_due(payments):
    created, _, completed, refunded = order_events()
    await pay(payments, created, CAPTURED)
    await handle(payments, completed)
    assert await payments.lease_due("replica") is None
    with pytest.raises(EarlierEventMissing):
        await handle(payments, refunded.model_copy(update={"version": 3}))
    await handle(payments, refunded, refunded)
    payment = await payments.lease_due("replica")
    assert next_task(payment) == "refund"
