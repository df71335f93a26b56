"""What is owed and paid for one order. It exists from the moment that the order does.

    unpaid ──> begun ──> authorised ──> captured ──> refunded, or refund_failed
                 │  │         └───────> voided
                 │  └──> failed ──────> voided
                 └────────────────────> voided

Each payment has at most one PaymentIntent at Stripe, noted here before the bank is asked. Stripe lets an
intent be authorised, captured or canceled once, however many try: so the intent is the lock, and what a crash
leaves in doubt the intent itself can tell. All that Stripe says is taken in by one function, `observe`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ticketing_common.values.aggregate import Aggregate, is_next_version
from ticketing_common.values.errors import MarketError, NotFound, NotYours
from ticketing_common.values.events import PaymentCreated, PaymentFailed, PaymentRefunded, PaymentRefundFailed

PaymentStatus = Literal[
    "unpaid", "begun", "authorised", "failed", "captured", "voided", "refunded", "refund_failed"
]
OrderStatus = Literal["created", "complete", "cancelled", "refunded"]


_KEYS_LEAD_BACK = timedelta(hours=23)
"""Stripe keeps an idempotency key for 24 hours."""


class NoSuchOrder(NotFound):
    message = "There is no such order"


class OrderCancelled(MarketError):
    message = "Cannot pay for a cancelled order"


class AlreadyPaid(MarketError):
    message = "Order is already paid"


@dataclass(frozen=True, kw_only=True)
class Payment(Aggregate):
    order_id: str
    order_version: int = 0
    """The order's version that we follow."""
    order_status: OrderStatus = "created"
    user_id: str
    """The buyer."""
    amount_cents: int
    expires_at: datetime
    """When the order expires."""
    status: PaymentStatus = "unpaid"
    begun_at: datetime | None = None
    """When a PaymentIntent was first asked for."""
    stripe_id: str | None = None
    """The PaymentIntent (pi_...)."""
    key_no: int = 0
    """Part of the idempotency keys: Stripe repeats a 500 for 24 hours, so a key that met one is given up."""
    told: bool = False
    """One of the buyer's calls was answered that it has paid; it may have been a sweep that saw the money."""
    failure_code: str | None = None
    """Stripe's code of the decline, or of the refund's refusal."""

    settle_at: datetime | None = None
    """When Stripe is next to be asked or told something (schedule.py); None: nothing is open."""
    due_since: datetime | None = None
    """Since when Stripe is to be told."""
    failures: int = 0
    """How many tries in a row have not done it."""


@dataclass(frozen=True)
class Decline:
    code: str
    message: str
    """For the buyer."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What Stripe has: a PaymentIntent and what became of its money, in our words."""

    status: Literal["missing", "open", "action", "authorised", "captured", "canceled"]
    """open: the bank has not agreed; action: it wants the buyer; missing: Stripe knows no such intent."""
    stripe_id: str
    amount_cents: int = 0
    taken_cents: int = 0
    """Captured and not given back."""
    order_id: str | None = None
    payment_id: str | None = None
    client_secret: str | None = None
    decline: Decline | None = None
    """Why the last card was refused."""
    refunded: bool = False
    """All of it was given back."""
    refund_refused: str | None = None
    """Stripe's code when the refund that we asked for was refused."""


def follow_order(payment: Payment, version: int, status: OrderStatus) -> Payment:
    """The payment after the order's event of that version. Raises EarlierEventUnderWay."""
    if not is_next_version(version, payment.order_version):
        return payment
    return payment.evolve(order_version=version, order_status=status)


def is_paid(payment: Payment) -> bool:
    return payment.status in ("authorised", "captured")


def order_has_ended(payment: Payment) -> bool:
    """The order is cancelled or refunded: no money may be held or kept for it."""
    return payment.order_status in ("cancelled", "refunded")


def refuse_unless_payable(payment: Payment, user_id: str, now: datetime) -> None:
    """Raises NotYours, AlreadyPaid, OrderCancelled."""
    if payment.user_id != user_id:
        raise NotYours
    if payment.order_status in ("complete", "refunded"):
        raise AlreadyPaid
    if payment.order_status == "cancelled":
        raise OrderCancelled
    if is_paid(payment):
        if payment.told:
            raise AlreadyPaid
        return
    # An order past its time is as good as cancelled: the event that says so is under way.
    if payment.status not in ("unpaid", "begun") or now >= payment.expires_at:
        raise OrderCancelled


def begin(payment: Payment, user_id: str, now: datetime) -> Payment:
    """Written before Stripe is asked for anything, so that a crash leaves a trace of it.

    Raises NotYours, AlreadyPaid, OrderCancelled.
    """
    refuse_unless_payable(payment, user_id, now)
    if is_paid(payment):
        return payment
    return payment.evolve(status="begun", begun_at=payment.begun_at or now)


def note(payment: Payment, stripe_id: str) -> Payment:
    """Note the intent before the bank is asked; the first one noted stays.

    One that comes after the order's end is noted too, for it has to be canceled.
    """
    return payment if payment.stripe_id else payment.evolve(stripe_id=stripe_id, status="begun")


def may_have_lost_an_intent(payment: Payment, now: datetime) -> bool:
    """An intent may have been made under an idempotency key that does not lead to it any more."""
    assert payment.begun_at is not None
    return payment.key_no > 0 or now - payment.begun_at > _KEYS_LEAD_BACK


def renew_key(payment: Payment, spent: int) -> Payment:
    """Give up the idempotency keys of that number, unless another has done so."""
    return payment.evolve(key_no=spent + 1) if payment.key_no == spent else payment


def observe(payment: Payment, seen: Seen) -> Payment:
    """The payment, given what Stripe has. It may be old news, or come twice: nothing goes backwards."""
    match seen.status:
        case "captured":
            return _observe_captured(payment, seen)
        case "authorised" if payment.status in ("unpaid", "begun") and payment.order_status == "created":
            return payment.evolve(status="authorised")
        case "open" if seen.decline and payment.status == "begun" and payment.order_status == "created":
            return payment.evolve(status="failed", failure_code=seen.decline.code)
        case "canceled" if payment.status in ("unpaid", "begun") and payment.order_status == "created":
            return payment.evolve(status="failed", failure_code="payment_intent_canceled")
        case "missing" if payment.status == "begun" and payment.order_status == "created":
            return payment.evolve(status="unpaid", stripe_id=None, key_no=payment.key_no + 1)
        case "missing" if payment.status == "captured" and order_has_ended(payment):
            return payment.evolve(status="refund_failed", failure_code="resource_missing")
        case "canceled" | "missing" if payment.order_status != "created" and _has_no_end_yet(payment):
            return payment.evolve(status="voided")
    return payment


def _observe_captured(payment: Payment, seen: Seen) -> Payment:
    if order_has_ended(payment) and seen.refunded:
        return payment.evolve(status="refunded")
    if order_has_ended(payment) and seen.refund_refused:
        return payment.evolve(status="refund_failed", failure_code=seen.refund_refused)
    return payment.evolve(status="captured") if _has_no_end_yet(payment) else payment


def _has_no_end_yet(payment: Payment) -> bool:
    return payment.status in ("unpaid", "begun", "authorised", "failed")


def answer(payment: Payment, seen: Seen) -> Payment:
    """As observe, for a buyer's call; the first that finds the money there is told so. Raises AlreadyPaid."""
    after = observe(payment, seen)
    if not is_paid(after) or order_has_ended(after):
        return after
    if payment.told or seen.status not in ("authorised", "captured"):
        raise AlreadyPaid
    return after.evolve(told=True)


def announce(
    payment: Payment,
) -> PaymentCreated | PaymentFailed | PaymentRefunded | PaymentRefundFailed | None:
    """The event that asks the orders service to decide, or tells it what became of a refund."""
    if payment.order_status == "created" and is_paid(payment):
        assert payment.stripe_id is not None
        return PaymentCreated(id=payment.id, order_id=payment.order_id, stripe_id=payment.stripe_id)
    if payment.order_status == "created" and payment.status == "failed":
        assert payment.failure_code is not None
        return PaymentFailed(order_id=payment.order_id, code=payment.failure_code)
    # Voided: refunded before the money was taken. It is as free again.
    if payment.order_status == "refunded" and payment.status in ("refunded", "voided"):
        return PaymentRefunded(id=payment.id, version=payment.version, order_id=payment.order_id)
    if payment.order_status == "refunded" and payment.status == "refund_failed":
        assert payment.failure_code is not None
        return PaymentRefundFailed(
            id=payment.id, version=payment.version, order_id=payment.order_id, code=payment.failure_code
        )
    return None
