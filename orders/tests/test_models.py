"""The rules of orders."""

from datetime import UTC, datetime, timedelta

import pytest

from orders.models import (
    Hold,
    Order,
    OrderAlreadyPaid,
    OrderNotPaid,
    Refund,
    Ticket,
    TicketAlreadyReserved,
    cancel,
    cancel_by_buyer,
    complete,
    create_order,
    determine_hold,
    event_of,
    refund,
    update_refund,
)
from ticketing_common.values.events import OrderCancelled, OrderCompleted, OrderCreated, OrderRefunded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TICKET = Ticket(id="t" * 24, version=3, title="Opera", price_cents=1999, seller_id="seller")


def order(last: Order | None = None) -> Order:
    return create_order("o" * 24, "buyer", TICKET, last, NOW, timedelta(minutes=15))


def test_new_order_contains_the_ticket_and_expires_after_the_window():
    placed = order()
    assert (placed.status, placed.reason, placed.version) == ("created", None, 0)
    assert (placed.ticket.title, placed.ticket.price_cents, placed.ticket.n) == ("Opera", 1999, 1)
    assert placed.expires_at == NOW + timedelta(minutes=15)


@pytest.mark.parametrize("decide", [lambda o: o, complete], ids=["created", "complete"])
def test_second_order_is_rejected_while_the_first_is_live(decide):
    with pytest.raises(TicketAlreadyReserved):
        order(last=decide(order()))


@pytest.mark.parametrize("status", ["cancelled", "refunded"])
def test_ticket_can_be_ordered_again_after_its_order_has_ended(status):
    assert order(last=order().evolve(status=status)).ticket.n == 2


@pytest.mark.parametrize(
    ("last", "hold"),
    [
        (None, Hold("free")),
        (order(), Hold("reserved", until=NOW + timedelta(minutes=15))),
        (order().evolve(status="awaiting:payment"), Hold("reserved", until=NOW + timedelta(minutes=15))),
        (complete(order()), Hold("sold")),
        (cancel_by_buyer(order()), Hold("free")),
        (refund(complete(order())), Hold("free")),
    ],
    ids=lambda it: getattr(it, "status", None),
)
def test_hold_is_determined_by_the_latest_order(last, hold):
    assert determine_hold(last) == hold


def test_only_the_first_decision_about_an_order_takes_effect():
    paid, late = complete(order()), cancel(order(), "expired")
    assert cancel(paid, "expired") == paid
    assert complete(late) == late
    assert cancel(late, "payment-failed").reason == "expired"


def test_buyer_cancels_an_unpaid_order_once_or_twice():
    cancelled = cancel_by_buyer(order())
    assert (cancelled.status, cancelled.reason) == ("cancelled", "user")
    assert cancel_by_buyer(cancelled) == cancelled


@pytest.mark.parametrize("status", ["complete", "refunded"])
def test_buyer_cannot_cancel_a_paid_order(status):
    with pytest.raises(OrderAlreadyPaid):
        cancel_by_buyer(order().evolve(status=status))


def test_paid_order_is_refunded_once_or_twice():
    refunded = refund(complete(order()))
    assert (refunded.status, refund(refunded)) == ("refunded", refunded)
    assert complete(refunded) == cancel(refunded, "expired") == refunded


@pytest.mark.parametrize("decide", [lambda o: o, cancel_by_buyer], ids=["created", "cancelled"])
def test_refund_of_an_unpaid_order_is_rejected(decide):
    with pytest.raises(OrderNotPaid):
        refund(decide(order()))


def test_newest_outcome_of_a_refund_wins():
    done = Refund(id="o" * 24, payment_version=6, status="done")
    failed = Refund(id="o" * 24, payment_version=7, status="failed", code="x")
    assert update_refund(done, failed) == update_refund(failed, done) == failed


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda o: o, OrderCreated),
        (complete, OrderCompleted),
        (cancel_by_buyer, OrderCancelled),
        (lambda o: refund(complete(o)), OrderRefunded),
    ],
)
def test_each_status_is_published_as_its_event(change, kind):
    event = event_of(change(order()).evolve(version=5))
    assert type(event) is kind
    assert (event.id, event.version, event.ticket.n) == ("o" * 24, 5, 1)


def test_created_event_has_the_documented_json():
    assert event_of(order()).model_dump(mode="json", by_alias=True) == {
        "id": "o" * 24,
        "version": 0,
        "status": "created",
        "userId": "buyer",
        "expiresAt": "2026-01-01T00:15:00Z",
        "ticket": {"id": "t" * 24, "n": 1, "price": 19.99},
    }
