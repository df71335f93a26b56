"""When Stripe is dealt with, and what about."""

from dataclasses import replace
from datetime import timedelta

import pytest
from payment_cases import (
    AUTHORISED,
    BEGUN,
    CANCELED,
    CAPTURED,
    DECLINED,
    NOW,
    OPEN,
    PAID,
    REFUNDED,
    UNPAID,
)

from payments.models import begin, follow_order, observe
from payments.schedule import OVERDUE, heard, is_overdue, postponed, scheduled, settled, task

COMPLETE = scheduled(PAID, follow_order(PAID, 1, "complete"), NOW)


@pytest.mark.parametrize(
    ("payment", "todo"),
    [
        (UNPAID, None),
        (BEGUN, "look"),
        (PAID, None),
        (COMPLETE, "capture"),
        (observe(COMPLETE, CAPTURED), None),
        (follow_order(observe(COMPLETE, CAPTURED), 2, "refunded"), "refund"),
        (follow_order(COMPLETE, 2, "refunded"), "void"),
        (observe(follow_order(observe(COMPLETE, CAPTURED), 2, "refunded"), REFUNDED), None),
        (follow_order(UNPAID, 1, "cancelled"), None),
        (follow_order(begin(UNPAID, "buyer", NOW), 1, "cancelled"), "void"),
        (follow_order(BEGUN, 1, "cancelled"), "void"),
        (follow_order(PAID, 1, "cancelled"), "void"),
        (follow_order(observe(BEGUN, DECLINED), 1, "cancelled"), "void"),
        (observe(follow_order(PAID, 1, "cancelled"), CANCELED), None),
        (observe(follow_order(PAID, 1, "cancelled"), CAPTURED), "refund"),
    ],
)
def test_the_task_follows_from_the_state(payment, todo):
    assert task(payment) == todo


def test_what_the_order_decides_is_due_at_once():
    assert (COMPLETE.settle_at, COMPLETE.due_since) == (NOW, NOW)


def test_a_try_is_looked_into_after_five_seconds():
    begun = scheduled(UNPAID, begin(UNPAID, "buyer", NOW), NOW)
    assert (begun.settle_at, begun.due_since) == (NOW + timedelta(seconds=5), None)


def test_what_is_done_is_no_longer_due():
    done = scheduled(COMPLETE, settled(COMPLETE, CAPTURED, COMPLETE, NOW), NOW)
    assert (done.settle_at, done.due_since, done.failures) == (None, None, 0)


def test_what_fails_is_tried_again_ever_later_and_stays_due():
    payment, waits = COMPLETE, []
    for _ in range(12):
        payment = postponed(payment, NOW)
        waits.append((payment.settle_at - NOW).total_seconds())
    assert 0.5 <= waits[0] <= 1
    assert 1 <= waits[1] <= 2
    assert all(30 <= wait <= 60 for wait in waits[-3:])
    assert payment.due_since == NOW
    assert not is_overdue(payment, NOW + OVERDUE)
    assert is_overdue(payment, NOW + OVERDUE + timedelta(seconds=1))


def test_a_fruitless_look_is_repeated_later():
    later = settled(replace(BEGUN, settle_at=NOW), OPEN, replace(BEGUN, settle_at=NOW), NOW)
    assert later.settle_at > NOW
    assert later.failures == 1


def test_a_look_that_was_asked_for_is_over_once_it_is_done():
    told = heard(PAID, NOW)
    assert settled(told, AUTHORISED, told, NOW).settle_at is None


@pytest.mark.parametrize("payment", [BEGUN, PAID], ids=["in doubt", "paid"])
def test_what_is_heard_during_a_look_is_looked_at_again(payment):
    meanwhile = heard(payment, NOW + timedelta(seconds=1))
    assert settled(meanwhile, OPEN, heard(payment, NOW), NOW).settle_at == meanwhile.settle_at
