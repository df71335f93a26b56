"""Which task a payment needs next, and when."""

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

from payments.payment.models import apply_intent, apply_order_event, start_attempt
from payments.payment.scheduling import (
    OVERDUE,
    apply_settlement,
    is_overdue,
    next_task,
    postpone,
    reschedule,
    schedule_look_now,
)

COMPLETE = reschedule(PAID, apply_order_event(PAID, 1, "complete"), NOW)


@pytest.mark.parametrize(
    ("payment", "task"),
    [
        (UNPAID, None),
        (BEGUN, "look"),
        (PAID, None),
        (COMPLETE, "capture"),
        (apply_intent(COMPLETE, CAPTURED), None),
        (apply_order_event(apply_intent(COMPLETE, CAPTURED), 2, "refunded"), "refund"),
        (apply_order_event(COMPLETE, 2, "refunded"), "void"),
        (apply_intent(apply_order_event(apply_intent(COMPLETE, CAPTURED), 2, "refunded"), REFUNDED), None),
        (apply_order_event(UNPAID, 1, "cancelled"), None),
        (apply_order_event(start_attempt(UNPAID, "buyer", NOW), 1, "cancelled"), "void"),
        (apply_order_event(BEGUN, 1, "cancelled"), "void"),
        (apply_order_event(PAID, 1, "cancelled"), "void"),
        (apply_order_event(apply_intent(BEGUN, DECLINED), 1, "cancelled"), "void"),
        (apply_intent(apply_order_event(PAID, 1, "cancelled"), CANCELED), None),
        (apply_intent(apply_order_event(PAID, 1, "cancelled"), CAPTURED), "refund"),
    ],
)
def test_task_depends_on_the_state(payment, task):
    assert next_task(payment) == task


def test_capture_is_due_as_soon_as_the_order_is_complete():
    assert (COMPLETE.settle_at, COMPLETE.due_since) == (NOW, NOW)


def test_attempt_is_looked_into_after_five_seconds():
    begun = reschedule(UNPAID, start_attempt(UNPAID, "buyer", NOW), NOW)
    assert (begun.settle_at, begun.due_since) == (NOW + timedelta(seconds=5), None)


def test_completed_task_is_no_longer_due():
    done = reschedule(COMPLETE, apply_settlement(COMPLETE, CAPTURED, COMPLETE, NOW), NOW)
    assert (done.settle_at, done.due_since, done.failures) == (None, None, 0)


def test_failed_task_is_retried_with_back_off_and_stays_due():
    payment, waits = COMPLETE, []
    for _ in range(12):
        payment = postpone(payment, NOW)
        assert payment.settle_at
        waits.append((payment.settle_at - NOW).total_seconds())
    assert 0.5 <= waits[0] <= 1
    assert 1 <= waits[1] <= 2
    assert all(30 <= wait <= 60 for wait in waits[-3:])
    assert payment.due_since == NOW
    assert not is_overdue(payment, NOW + OVERDUE)
    assert is_overdue(payment, NOW + OVERDUE + timedelta(seconds=1))


def test_look_without_an_outcome_is_repeated_later():
    later = apply_settlement(replace(BEGUN, settle_at=NOW), OPEN, replace(BEGUN, settle_at=NOW), NOW)
    assert later.settle_at
    assert later.settle_at > NOW
    assert later.failures == 1


def test_requested_look_is_made_once():
    requested = schedule_look_now(PAID, NOW)
    assert apply_settlement(requested, AUTHORISED, requested, NOW).settle_at is None


@pytest.mark.parametrize("payment", [BEGUN, PAID], ids=["begun", "paid"])
def test_look_requested_during_a_look_is_made_too(payment):
    meanwhile = schedule_look_now(payment, NOW + timedelta(seconds=1))
    assert (
        apply_settlement(meanwhile, OPEN, schedule_look_now(payment, NOW), NOW).settle_at
        == meanwhile.settle_at
    )
