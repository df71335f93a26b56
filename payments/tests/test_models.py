"""The pure rules of a payment."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import get_args

import pytest
from payment_cases import (
    AUTHORISED,
    BEGUN,
    CANCELED,
    CAPTURED,
    DECLINED,
    MISSING,
    NOW,
    OPEN,
    PAID,
    REFUNDED,
    REFUSED,
    UNPAID,
)

from payments.models import (
    AlreadyPaid,
    OrderCancelled,
    OrderStatus,
    PaymentStatus,
    announce,
    answer,
    begin,
    follow_order,
    may_have_lost_an_intent,
    note,
    observe,
    refuse_unless_payable,
    renew_key,
)
from ticketing_common.values.aggregate import EarlierEventMissing
from ticketing_common.values.errors import NotYours
from ticketing_common.values.events import PaymentCreated, PaymentFailed, PaymentRefunded, PaymentRefundFailed


def test_the_first_intent_noted_stays():
    assert note(BEGUN, "pi_2").stripe_id == "pi_1"


def test_an_intent_that_comes_after_the_end_is_noted_too():
    voided = observe(follow_order(begin(UNPAID, "buyer", NOW), 1, "cancelled"), MISSING)
    assert voided.status == "voided"
    late = note(voided, "pi_1")
    assert (late.stripe_id, late.status) == ("pi_1", "begun")
    assert observe(late, CANCELED).status == "voided"


def test_an_authorised_payment_asks_for_the_order():
    assert announce(PAID) == PaymentCreated(id="p" * 24, order_id="o" * 24, stripe_id="pi_1")
    assert announce(follow_order(PAID, 1, "complete")) is None


def test_money_that_was_taken_early_asks_for_the_order_too():
    assert isinstance(announce(observe(BEGUN, CAPTURED)), PaymentCreated)


def test_a_decline_is_announced_and_final():
    failed = observe(BEGUN, DECLINED)
    assert announce(failed) == PaymentFailed(order_id="o" * 24, code="card_declined")
    assert observe(failed, AUTHORISED) == failed
    assert answer(failed, AUTHORISED) == failed


def test_a_decline_beside_an_authorisation_changes_nothing():
    assert observe(PAID, DECLINED) == PAID


def test_of_the_buyers_calls_one_is_told_that_it_has_paid():
    told = answer(BEGUN, AUTHORISED)
    assert (told.status, told.told) == ("authorised", True)
    for seen in (AUTHORISED, DECLINED):
        with pytest.raises(AlreadyPaid):
            answer(told, seen)


def test_a_sweep_that_sees_the_money_first_does_not_take_the_buyers_answer():
    assert answer(PAID, AUTHORISED).told
    with pytest.raises(AlreadyPaid):
        answer(PAID, DECLINED)


def test_what_was_authorised_too_late_is_not_paid():
    cancelled = follow_order(BEGUN, 1, "cancelled")
    assert answer(cancelled, AUTHORISED) == cancelled


@pytest.mark.parametrize(
    ("payment", "user", "at", "error"),
    [
        (UNPAID, "another", NOW, NotYours),
        (replace(PAID, told=True), "buyer", NOW, AlreadyPaid),
        (follow_order(PAID, 1, "complete"), "buyer", NOW, AlreadyPaid),
        (follow_order(PAID, 1, "cancelled"), "buyer", NOW, OrderCancelled),
        (follow_order(UNPAID, 1, "cancelled"), "buyer", NOW, OrderCancelled),
        (observe(BEGUN, DECLINED), "buyer", NOW, OrderCancelled),
        (UNPAID, "buyer", UNPAID.expires_at, OrderCancelled),
        (BEGUN, "buyer", UNPAID.expires_at, OrderCancelled),
    ],
)
def test_what_cannot_be_paid_says_why(payment, user, at, error):
    with pytest.raises(error):
        refuse_unless_payable(payment, user, at)
    with pytest.raises(error):
        begin(payment, user, at)


def test_the_orders_versions_are_followed_one_by_one():
    decided = follow_order(UNPAID, 1, "cancelled")
    assert follow_order(decided, 1, "complete") == decided
    with pytest.raises(EarlierEventMissing):
        follow_order(UNPAID, 2, "cancelled")


def test_a_refund_is_announced_and_so_is_its_refusal():
    owed = follow_order(follow_order(observe(PAID, CAPTURED), 1, "complete"), 2, "refunded")
    done, refused = observe(owed, REFUNDED), observe(owed, REFUSED)
    assert announce(done) == PaymentRefunded(id="p" * 24, version=0, order_id="o" * 24)
    assert announce(refused) == PaymentRefundFailed(
        id="p" * 24, version=0, order_id="o" * 24, code="charge_disputed"
    )


def test_a_refund_before_the_money_was_taken_is_announced_once_it_is_released():
    owed = follow_order(follow_order(PAID, 1, "complete"), 2, "refunded")
    assert announce(owed) is None
    assert isinstance(announce(observe(owed, CANCELED)), PaymentRefunded)


def test_a_refund_that_the_bank_sends_back_later_is_a_failed_one():
    owed = follow_order(follow_order(observe(PAID, CAPTURED), 1, "complete"), 2, "refunded")
    assert observe(observe(owed, REFUNDED), REFUSED).status == "refund_failed"


def test_an_intent_that_stripe_has_lost_is_replaced_while_the_order_can_be_paid():
    again = observe(BEGUN, MISSING)
    assert (again.status, again.stripe_id, again.key_no) == ("unpaid", None, 1)
    assert observe(PAID, MISSING) == PAID
    assert observe(follow_order(PAID, 1, "cancelled"), MISSING).status == "voided"


def test_an_intent_that_was_canceled_at_stripe_fails_the_payment():
    failed = observe(BEGUN, CANCELED)
    assert announce(failed) == PaymentFailed(order_id="o" * 24, code="payment_intent_canceled")


def test_an_intent_is_looked_for_once_its_key_may_not_lead_to_it():
    day = timedelta(days=1)
    assert not may_have_lost_an_intent(BEGUN, NOW)
    assert may_have_lost_an_intent(BEGUN, NOW + day)
    assert may_have_lost_an_intent(renew_key(BEGUN, 0), NOW)


def test_a_key_is_given_up_once():
    assert renew_key(renew_key(BEGUN, 0), 0).key_no == 1


SEEN = [
    OPEN,
    replace(OPEN, status="action"),
    DECLINED,
    AUTHORISED,
    CAPTURED,
    REFUNDED,
    REFUSED,
    CANCELED,
    MISSING,
]
ALL = [
    replace(BEGUN, status=status, order_status=order_status, failure_code="x")
    for status, order_status in product(get_args(PaymentStatus), get_args(OrderStatus))
]


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: seen.status)
def test_what_stripe_says_may_come_twice_and_can_always_be_announced(seen):
    for payment in ALL:
        once = observe(payment, seen)
        assert observe(once, seen) == once
        announce(once)


def test_no_old_news_takes_an_end_back():
    for payment, seen in product(ALL, [OPEN, DECLINED, AUTHORISED, replace(OPEN, status="action")]):
        if payment.status in ("captured", "voided", "refunded", "refund_failed"):
            assert observe(payment, seen) == payment
