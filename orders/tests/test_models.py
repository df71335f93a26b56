"""The pure rules of an order."""

from datetime import UTC, datetime, timedelta

import pytest

from orders.models import (
    Hold,
    Order,
    OrderComplete,
    OrderNotPaid,
    Refund,
    Ticket,
    TicketReserved,
    announce,
    cancel,
    complete,
    hold_of,
    later,
    place,
    refund,
    withdraw,
)
from ticketing_common.events import OrderCancelled, OrderCompleted, OrderCreated, OrderRefunded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TICKET = Ticket(id="t" * 24, version=3, title="Opera", price_cents=1999, seller_id="seller")


def order(last: Order | None = None) -> Order:
    return place("o" * 24, "buyer", TICKET, last, NOW, timedelta(minutes=15))


def test_an_order_keeps_the_ticket_as_it_was_and_expires_after_the_window():
    placed = order()
    assert (placed.status, placed.reason, placed.version) == ("created", None, 0)
    assert (placed.ticket.title, placed.ticket.price_cents, placed.ticket.n) == ("Opera", 1999, 1)
    assert placed.expires_at == NOW + timedelta(minutes=15)


@pytest.mark.parametrize("decide", [lambda o: o, complete], ids=["created", "complete"])
def test_a_live_order_holds_its_ticket(decide):
    with pytest.raises(TicketReserved):
        order(last=decide(order()))


@pytest.mark.parametrize("status", ["cancelled", "refunded"])
def test_after_an_ended_order_comes_the_next_one(status):
    assert order(last=order().evolve(status=status)).ticket.n == 2


@pytest.mark.parametrize(
    ("last", "hold"),
    [
        (None, Hold("free")),
        (order(), Hold("reserved", until=NOW + timedelta(minutes=15))),
        (order().evolve(status="awaiting:payment"), Hold("reserved", until=NOW + timedelta(minutes=15))),
        (complete(order()), Hold("sold")),
        (withdraw(order()), Hold("free")),
        (refund(complete(order())), Hold("free")),
    ],
    ids=lambda it: getattr(it, "status", None),
)
def test_the_last_order_of_a_ticket_says_how_it_is_held(last, hold):
    assert hold_of(last) == hold


def test_whoever_comes_second_finds_the_order_decided():
    paid, late = complete(order()), cancel(order(), "expired")
    assert cancel(paid, "expired") == paid
    assert complete(late) == late
    assert cancel(late, "payment-failed").reason == "expired"


def test_a_buyer_withdraws_before_paying_and_may_say_so_twice():
    withdrawn = withdraw(order())
    assert (withdrawn.status, withdrawn.reason) == ("cancelled", "user")
    assert withdraw(withdrawn) == withdrawn


@pytest.mark.parametrize("status", ["complete", "refunded"])
def test_a_paid_order_is_not_withdrawn(status):
    with pytest.raises(OrderComplete):
        withdraw(order().evolve(status=status))


def test_a_paid_order_is_refunded_and_may_be_again():
    refunded = refund(complete(order()))
    assert (refunded.status, refund(refunded)) == ("refunded", refunded)
    assert complete(refunded) == cancel(refunded, "expired") == refunded


@pytest.mark.parametrize("decide", [lambda o: o, withdraw], ids=["created", "cancelled"])
def test_an_unpaid_order_is_not_refunded(decide):
    with pytest.raises(OrderNotPaid):
        refund(decide(order()))


def test_of_what_is_told_of_a_refund_the_latest_counts():
    done = Refund(id="o" * 24, payment_version=6, status="done")
    failed = Refund(id="o" * 24, payment_version=7, status="failed", code="x")
    assert later(done, failed) == later(failed, done) == failed


@pytest.mark.parametrize(
    ("become", "event"),
    [
        (lambda o: o, OrderCreated),
        (complete, OrderCompleted),
        (withdraw, OrderCancelled),
        (lambda o: refund(complete(o)), OrderRefunded),
    ],
)
def test_each_state_has_its_event(become, event):
    announced = announce(become(order()).evolve(version=5))
    assert type(announced) is event
    assert (announced.id, announced.version, announced.ticket.n) == ("o" * 24, 5, 1)


def test_the_created_event_is_as_the_contract_says():
    assert announce(order()).model_dump(mode="json", by_alias=True) == {
        "id": "o" * 24,
        "version": 0,
        "status": "created",
        "userId": "buyer",
        "expiresAt": "2026-01-01T00:15:00Z",
        "ticket": {"id": "t" * 24, "n": 1, "price": 19.99},
    }
