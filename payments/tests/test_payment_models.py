"""The state machine of a payment."""

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

from payments.payment.models import (
    AlreadyPaid,
    OrderCancelled,
    OrderStatus,
    PaymentStatus,
    apply_intent,
    apply_intent_for_buyer,
    apply_order_event,
    check_payable,
    event_of,
    may_have_unrecorded_intent,
    record_intent,
    replace_idempotency_key,
    start_attempt,
)
from ticketing_common.values.aggregate import EarlierEventMissing
from ticketing_common.values.errors import NotYours
from ticketing_common.values.events import PaymentCreated, PaymentFailed, PaymentRefunded, PaymentRefundFailed


def test_first_recorded_intent_stays():
    assert record_intent(BEGUN, "pi_2").stripe_id == "pi_1"


def test_intent_created_after_the_order_ended_is_recorded():
    voided = apply_intent(apply_order_event(start_attempt(UNPAID, "buyer", NOW), 1, "cancelled"), MISSING)
    assert voided.status == "voided"
    late = record_intent(voided, "pi_1")
    assert (late.stripe_id, late.status) == ("pi_1", "begun")
    assert apply_intent(late, CANCELED).status == "voided"


def test_authorised_payment_is_published_until_the_order_is_complete():
    assert event_of(PAID) == PaymentCreated(id="p" * 24, order_id="o" * 24, stripe_id="pi_1")
    assert event_of(apply_order_event(PAID, 1, "complete")) is None


def test_payment_captured_before_the_order_is_complete_is_published():
    assert isinstance(event_of(apply_intent(BEGUN, CAPTURED)), PaymentCreated)


def test_decline_is_published_and_final():
    failed = apply_intent(BEGUN, DECLINED)
    assert event_of(failed) == PaymentFailed(order_id="o" * 24, code="card_declined")
    assert apply_intent(failed, AUTHORISED) == failed
    assert apply_intent_for_buyer(failed, AUTHORISED) == failed


def test_decline_after_an_authorisation_changes_nothing():
    assert apply_intent(PAID, DECLINED) == PAID


def test_one_of_the_buyers_requests_gets_the_success_response():
    paid = apply_intent_for_buyer(BEGUN, AUTHORISED)
    assert (paid.status, paid.success_returned) == ("authorised", True)
    for intent in (AUTHORISED, DECLINED):
        with pytest.raises(AlreadyPaid):
            apply_intent_for_buyer(paid, intent)


def test_buyer_gets_the_success_response_also_if_the_settlement_finds_the_money_first():
    assert apply_intent_for_buyer(PAID, AUTHORISED).success_returned
    with pytest.raises(AlreadyPaid):
        apply_intent_for_buyer(PAID, DECLINED)


def test_order_cancelled_before_the_authorisation_is_not_paid():
    cancelled = apply_order_event(BEGUN, 1, "cancelled")
    assert apply_intent_for_buyer(cancelled, AUTHORISED) == cancelled


@pytest.mark.parametrize(
    ("payment", "user", "at", "error"),
    [
        (UNPAID, "another", NOW, NotYours),
        (replace(PAID, success_returned=True), "buyer", NOW, AlreadyPaid),
        (apply_order_event(PAID, 1, "complete"), "buyer", NOW, AlreadyPaid),
        (apply_order_event(PAID, 1, "cancelled"), "buyer", NOW, OrderCancelled),
        (apply_order_event(UNPAID, 1, "cancelled"), "buyer", NOW, OrderCancelled),
        (apply_intent(BEGUN, DECLINED), "buyer", NOW, OrderCancelled),
        (UNPAID, "buyer", UNPAID.expires_at, OrderCancelled),
        (BEGUN, "buyer", UNPAID.expires_at, OrderCancelled),
    ],
)
def test_payment_that_is_not_payable_raises_the_reason(payment, user, at, error):
    with pytest.raises(error):
        check_payable(payment, user, at)
    with pytest.raises(error):
        start_attempt(payment, user, at)


def test_order_events_apply_in_the_order_of_their_versions():
    decided = apply_order_event(UNPAID, 1, "cancelled")
    assert apply_order_event(decided, 1, "complete") == decided
    with pytest.raises(EarlierEventMissing):
        apply_order_event(UNPAID, 2, "cancelled")


def test_refund_and_failed_refund_are_published():
    refunded_order = apply_order_event(
        apply_order_event(apply_intent(PAID, CAPTURED), 1, "complete"), 2, "refunded"
    )
    refunded, refused = apply_intent(refunded_order, REFUNDED), apply_intent(refunded_order, REFUSED)
    assert event_of(refunded) == PaymentRefunded(id="p" * 24, version=0, order_id="o" * 24)
    assert event_of(refused) == PaymentRefundFailed(
        id="p" * 24, version=0, order_id="o" * 24, code="charge_disputed"
    )


def test_refund_before_the_capture_is_published_once_the_payment_is_voided():
    refunded_order = apply_order_event(apply_order_event(PAID, 1, "complete"), 2, "refunded")
    assert event_of(refunded_order) is None
    assert isinstance(event_of(apply_intent(refunded_order, CANCELED)), PaymentRefunded)


def test_refund_returned_by_the_bank_later_is_a_failed_refund():
    refunded_order = apply_order_event(
        apply_order_event(apply_intent(PAID, CAPTURED), 1, "complete"), 2, "refunded"
    )
    assert apply_intent(apply_intent(refunded_order, REFUNDED), REFUSED).status == "refund_failed"


def test_missing_intent_is_replaced_while_the_order_is_payable():
    again = apply_intent(BEGUN, MISSING)
    assert (again.status, again.stripe_id, again.idempotency_key_no) == ("unpaid", None, 1)
    assert apply_intent(PAID, MISSING) == PAID
    assert apply_intent(apply_order_event(PAID, 1, "cancelled"), MISSING).status == "voided"


def test_intent_canceled_at_stripe_fails_the_payment():
    failed = apply_intent(BEGUN, CANCELED)
    assert event_of(failed) == PaymentFailed(order_id="o" * 24, code="payment_intent_canceled")


def test_unrecorded_intent_is_possible_once_its_key_has_expired_or_was_replaced():
    day = timedelta(days=1)
    assert not may_have_unrecorded_intent(BEGUN, NOW)
    assert may_have_unrecorded_intent(BEGUN, NOW + day)
    assert may_have_unrecorded_intent(replace_idempotency_key(BEGUN, 0), NOW)


def test_failed_key_is_replaced_once():
    assert replace_idempotency_key(replace_idempotency_key(BEGUN, 0), 0).idempotency_key_no == 1


INTENTS = [
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
PAYMENTS = [
    replace(BEGUN, status=status, order_status=order_status, failure_code="x")
    for status, order_status in product(get_args(PaymentStatus), get_args(OrderStatus))
]


@pytest.mark.parametrize("intent", INTENTS, ids=lambda intent: intent.status)
def test_applying_an_intent_twice_changes_nothing_and_its_event_can_be_built(intent):
    for payment in PAYMENTS:
        once = apply_intent(payment, intent)
        assert apply_intent(once, intent) == once
        event_of(once)


def test_outdated_intent_does_not_change_a_final_state():
    for payment, intent in product(PAYMENTS, [OPEN, DECLINED, AUTHORISED, replace(OPEN, status="action")]):
        if payment.status in ("captured", "voided", "refunded", "refund_failed"):
            assert apply_intent(payment, intent) == payment
