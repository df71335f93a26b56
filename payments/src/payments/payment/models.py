"""The payment of one order, and its state machine.

    unpaid ──> begun ──> authorised ──> captured ──> refunded, or refund_failed
                 │  │         └───────> voided
                 │  └──> failed ──────> voided
                 └────────────────────> voided

The payment is created with its order. It has at most one PaymentIntent at Stripe, whose id is stored before
the bank is asked. Stripe authorises, captures or cancels an intent once, however many requests it gets: so
the intent serves as the lock, and its state at Stripe resolves what a crash leaves in doubt. Whatever Stripe
returns goes through one function, `apply_intent`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from payments.stripe.models import NewIntent, StripeIntent
from ticketing_common.values.aggregate import Aggregate, is_next_version
from ticketing_common.values.errors import MarketError, NotYours
from ticketing_common.values.events import PaymentCreated, PaymentFailed, PaymentRefunded, PaymentRefundFailed

PaymentStatus = Literal[
    "unpaid", "begun", "authorised", "failed", "captured", "voided", "refunded", "refund_failed"
]
OrderStatus = Literal["created", "complete", "cancelled", "refunded"]

_KEY_IS_VALID_FOR = timedelta(hours=23)
"""Stripe deletes an idempotency key after 24 hours; a later request would create a second intent."""


class OrderCancelled(MarketError):
    message = "Cannot pay for a cancelled order"


class AlreadyPaid(MarketError):
    message = "Order is already paid"


@dataclass(frozen=True, kw_only=True)
class Payment(Aggregate):
    stored_names: ClassVar[Mapping[str, str]] = {
        "intent_requested_at": "begun_at",
        "idempotency_key_no": "key_no",
        "success_returned": "told",
    }

    order_id: str
    order_version: int = 0
    """Version of the last event of the order that was applied."""
    order_status: OrderStatus = "created"
    user_id: str
    """The buyer."""
    amount_cents: int
    expires_at: datetime
    """When the order expires."""
    status: PaymentStatus = "unpaid"
    intent_requested_at: datetime | None = None
    """When the first request for a PaymentIntent was about to be sent."""
    stripe_id: str | None = None
    """The PaymentIntent (pi_...)."""
    idempotency_key_no: int = 0
    """Part of the idempotency keys. Raised after an error that Stripe stores with a key for 24 hours."""
    success_returned: bool = False
    """Whether a success response was already returned to the buyer."""
    failure_code: str | None = None
    """Stripe's code of the decline, or of the failed refund."""

    settle_at: datetime | None = None
    """When the payment is settled next (scheduling.py); None: nothing to do."""
    due_since: datetime | None = None
    """The time since which a capture, void or refund has been due."""
    failures: int = 0
    """Attempts to settle that failed in a row."""


def is_paid(payment: Payment) -> bool:
    return payment.status in ("authorised", "captured")


def is_before_capture(payment: Payment) -> bool:
    return payment.status in ("unpaid", "begun", "authorised", "failed")


def order_has_ended(payment: Payment) -> bool:
    """True if no money may be held or kept for the order."""
    return payment.order_status in ("cancelled", "refunded")


def check_payable(payment: Payment, user_id: str, now: datetime) -> None:
    """Raises NotYours, AlreadyPaid, OrderCancelled."""
    if payment.user_id != user_id:
        raise NotYours
    if payment.order_status in ("complete", "refunded"):
        raise AlreadyPaid
    if payment.order_status == "cancelled":
        raise OrderCancelled
    if is_paid(payment):
        if payment.success_returned:
            raise AlreadyPaid
        return
    # An expired order counts as cancelled, although its event may still be in flight.
    if payment.status not in ("unpaid", "begun") or now >= payment.expires_at:
        raise OrderCancelled


def start_attempt(payment: Payment, user_id: str, now: datetime) -> Payment:
    """The payment with an attempt in progress, to store before the first call to Stripe.

    Raises NotYours, AlreadyPaid, OrderCancelled.
    """
    check_payable(payment, user_id, now)
    if is_paid(payment):
        return payment
    return payment.evolve(status="begun", intent_requested_at=payment.intent_requested_at or now)


def new_intent(payment: Payment) -> NewIntent:
    """The intent to create for the payment."""
    return NewIntent(
        order_id=payment.order_id,
        payment_id=payment.id,
        amount_cents=payment.amount_cents,
        idempotency_key=f"{payment.id}:intent:{payment.idempotency_key_no}",
    )


def refund_key(payment: Payment) -> str:
    """The idempotency key of the payment's refund."""
    return f"{payment.id}:refund:{payment.idempotency_key_no}"


def record_intent(payment: Payment, intent_id: str) -> Payment:
    """The payment with its intent, to store before the bank is asked. The first recorded intent stays.

    An intent of an order that has ended is recorded as well, since it has to be cancelled.
    """
    return payment if payment.stripe_id else payment.evolve(stripe_id=intent_id, status="begun")


def may_have_unrecorded_intent(payment: Payment, now: datetime) -> bool:
    """True if Stripe may have an intent that the current idempotency key does not return."""
    assert payment.intent_requested_at is not None
    return payment.idempotency_key_no > 0 or now - payment.intent_requested_at > _KEY_IS_VALID_FOR


def replace_idempotency_key(payment: Payment, failed_no: int) -> Payment:
    """The payment with the next key number, unless another process has replaced the failed one already."""
    if payment.idempotency_key_no != failed_no:
        return payment
    return payment.evolve(idempotency_key_no=failed_no + 1)


def apply_order_event(payment: Payment, version: int, status: OrderStatus) -> Payment:
    """The payment after the order's event of that version. Raises EarlierEventMissing."""
    if not is_next_version(version, payment.order_version):
        return payment
    return payment.evolve(order_version=version, order_status=status)


def apply_intent(payment: Payment, intent: StripeIntent) -> Payment:
    """The payment after Stripe returned this intent. Outdated and repeated responses change nothing."""
    order_is_open = payment.order_status == "created"
    match intent.status:
        case "captured":
            return _apply_captured(payment, intent)
        case "authorised" if payment.status in ("unpaid", "begun") and order_is_open:
            return payment.evolve(status="authorised")
        case "open" if intent.decline and payment.status == "begun" and order_is_open:
            return payment.evolve(status="failed", failure_code=intent.decline.code)
        case "canceled" if payment.status in ("unpaid", "begun") and order_is_open:
            return payment.evolve(status="failed", failure_code="payment_intent_canceled")
        case "missing" if payment.status == "begun" and order_is_open:
            return payment.evolve(
                status="unpaid", stripe_id=None, idempotency_key_no=payment.idempotency_key_no + 1
            )
        case "missing" if payment.status == "captured" and order_has_ended(payment):
            return payment.evolve(status="refund_failed", failure_code="resource_missing")
        case "canceled" | "missing" if not order_is_open and is_before_capture(payment):
            return payment.evolve(status="voided")
    return payment


def _apply_captured(payment: Payment, intent: StripeIntent) -> Payment:
    if order_has_ended(payment) and intent.is_refunded:
        return payment.evolve(status="refunded")
    if order_has_ended(payment) and intent.refund_failure:
        return payment.evolve(status="refund_failed", failure_code=intent.refund_failure)
    return payment.evolve(status="captured") if is_before_capture(payment) else payment


def apply_intent_for_buyer(payment: Payment, intent: StripeIntent) -> Payment:
    """As `apply_intent`, for a request of the buyer: the first one that finds the money authorised succeeds.

    Raises AlreadyPaid for the others.
    """
    after = apply_intent(payment, intent)
    if not is_paid(after) or order_has_ended(after):
        return after
    if payment.success_returned or intent.status not in ("authorised", "captured"):
        raise AlreadyPaid
    return after.evolve(success_returned=True)


def event_of(
    payment: Payment,
) -> PaymentCreated | PaymentFailed | PaymentRefunded | PaymentRefundFailed | None:
    """The event to publish with a change that led to this state. The orders service decides by it."""
    if payment.order_status == "created" and is_paid(payment):
        assert payment.stripe_id is not None
        return PaymentCreated(id=payment.id, order_id=payment.order_id, stripe_id=payment.stripe_id)
    if payment.order_status == "created" and payment.status == "failed":
        assert payment.failure_code is not None
        return PaymentFailed(order_id=payment.order_id, code=payment.failure_code)
    # Voided: the order was refunded before the capture, so the buyer has their money.
    if payment.order_status == "refunded" and payment.status in ("refunded", "voided"):
        return PaymentRefunded(id=payment.id, version=payment.version, order_id=payment.order_id)
    if payment.order_status == "refunded" and payment.status == "refund_failed":
        assert payment.failure_code is not None
        return PaymentRefundFailed(
            id=payment.id, version=payment.version, order_id=payment.order_id, code=payment.failure_code
        )
    return None
