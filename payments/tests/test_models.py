"""The pure rules of a payment."""

from datetime import UTC, datetime, timedelta

import pytest

from payments.models import (
    AlreadyPaid,
    OrderCancelled,
    Payment,
    announce,
    authorise,
    begin,
    due,
    fail,
    follow_order,
    refuse_unless_payable,
    settle,
)
from ticketing_common.aggregate import EarlierEventUnderWay
from ticketing_common.errors import NotYours
from ticketing_common.events import PaymentCreated, PaymentFailed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNPAID = Payment(
    id="p" * 24, order_id="o" * 24, user_id="buyer", amount_cents=1999, expires_at=NOW + timedelta(minutes=15)
)
BEGUN = begin(UNPAID, "pi_1", "buyer", NOW)


def test_the_first_intent_noted_stays():
    assert begin(BEGUN, "pi_2", "buyer", NOW).stripe_id == "pi_1"


def test_an_authorised_payment_asks_for_the_order_and_is_captured_once_it_is_complete():
    authorised = authorise(BEGUN)
    assert announce(authorised) == PaymentCreated(id="p" * 24, order_id="o" * 24, stripe_id="pi_1")
    assert due(authorised) is None
    decided = follow_order(authorised, 1, "complete")
    assert (announce(decided), due(decided)) == (None, "capture")
    captured = settle(decided, "capture")
    assert (captured.status, due(captured)) == ("captured", None)


def test_an_authorisation_of_a_cancelled_order_is_released():
    decided = follow_order(authorise(BEGUN), 1, "cancelled")
    assert (announce(decided), due(decided)) == (None, "void")
    assert settle(decided, "void").status == "voided"


def test_a_try_that_is_under_way_when_the_order_is_cancelled_is_released_too():
    cancelled = follow_order(BEGUN, 1, "cancelled")
    assert due(cancelled) == "void"
    with pytest.raises(OrderCancelled):
        authorise(cancelled)


def test_nothing_is_due_for_an_order_that_nobody_tried_to_pay():
    assert due(follow_order(UNPAID, 1, "cancelled")) is None


def test_a_decline_is_announced_and_final():
    failed = fail(BEGUN, "card_declined")
    assert announce(failed) == PaymentFailed(order_id="o" * 24, code="card_declined")
    assert fail(failed, "expired_card") == failed
    with pytest.raises(OrderCancelled):
        authorise(failed)
    assert due(follow_order(failed, 1, "cancelled")) == "void"


def test_a_decline_beside_an_authorisation_changes_nothing():
    with pytest.raises(AlreadyPaid):
        fail(authorise(BEGUN), "card_declined")


def test_a_payment_is_authorised_once():
    with pytest.raises(AlreadyPaid):
        authorise(authorise(BEGUN))


@pytest.mark.parametrize(
    ("payment", "user", "at", "error"),
    [
        (UNPAID, "another", NOW, NotYours),
        (authorise(BEGUN), "buyer", NOW, AlreadyPaid),
        (follow_order(authorise(BEGUN), 1, "complete"), "buyer", NOW, AlreadyPaid),
        (follow_order(UNPAID, 1, "cancelled"), "buyer", NOW, OrderCancelled),
        (fail(BEGUN, "x"), "buyer", NOW, OrderCancelled),
        (UNPAID, "buyer", UNPAID.expires_at, OrderCancelled),
    ],
)
def test_what_cannot_be_paid_says_why(payment, user, at, error):
    with pytest.raises(error):
        refuse_unless_payable(payment, user, at)
    if payment.status == "unpaid":
        with pytest.raises(error):
            begin(payment, "pi_1", user, at)


def test_the_orders_versions_are_followed_one_by_one():
    decided = follow_order(UNPAID, 1, "cancelled")
    assert follow_order(decided, 1, "complete") == decided
    with pytest.raises(EarlierEventUnderWay):
        follow_order(UNPAID, 2, "cancelled")


def test_settling_twice_changes_nothing():
    captured = settle(follow_order(authorise(BEGUN), 1, "complete"), "capture")
    assert settle(captured, "capture") == captured
