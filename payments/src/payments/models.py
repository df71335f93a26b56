"""What is owed and paid for one order. It exists from the moment that the order does.

    unpaid ──> authorised ──> captured      the order is complete
       │            └───────> voided        the order was cancelled
       ├──> failed ─────────> voided        the bank declined, and the order was cancelled
       └────────────────────> voided        the order was cancelled after a try was begun

Each payment has at most one PaymentIntent at Stripe, noted here before it is confirmed. Stripe lets an
intent be authorised once, however many try, so the intent is the lock, and nothing that a crash leaves is
in doubt for good: the intent itself says what came of it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ticketing_common.aggregate import Aggregate, follows
from ticketing_common.errors import MarketError, NotFound, NotYours
from ticketing_common.events import PaymentCreated, PaymentFailed

PaymentStatus = Literal["unpaid", "authorised", "failed", "captured", "voided"]
OrderStatus = Literal["created", "complete", "cancelled"]
Due = Literal["capture", "void"]


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
    stripe_id: str | None = None
    """The PaymentIntent (pi_...)."""
    failure_code: str | None = None
    """Stripe's code of the decline."""


def follow_order(payment: Payment, version: int, status: OrderStatus) -> Payment:
    """The payment after the order's event of that version. Raises EarlierEventUnderWay."""
    if not follows(version, payment.order_version):
        return payment
    return payment.evolve(order_version=version, order_status=status)


def refuse_unless_payable(payment: Payment, user_id: str, now: datetime) -> None:
    """Raises NotYours, AlreadyPaid, OrderCancelled."""
    if payment.user_id != user_id:
        raise NotYours
    if payment.order_status == "complete" or payment.status in ("authorised", "captured"):
        raise AlreadyPaid
    # An order past its time is as good as cancelled: the event that says so is under way.
    if payment.order_status == "cancelled" or payment.status != "unpaid" or now >= payment.expires_at:
        raise OrderCancelled


def begin(payment: Payment, stripe_id: str, user_id: str, now: datetime) -> Payment:
    """Note the intent before anything is asked of the bank; the first one noted stays.

    Raises NotYours, AlreadyPaid, OrderCancelled.
    """
    refuse_unless_payable(payment, user_id, now)
    return payment.evolve(stripe_id=payment.stripe_id or stripe_id)


def authorise(payment: Payment) -> Payment:
    """The bank has agreed. Raises AlreadyPaid when that is known, OrderCancelled when it comes too late."""
    if payment.status in ("authorised", "captured"):
        raise AlreadyPaid
    if payment.status != "unpaid" or payment.order_status != "created":
        raise OrderCancelled
    return payment.evolve(status="authorised")


def fail(payment: Payment, code: str) -> Payment:
    """The bank has declined. Raises AlreadyPaid when another try was authorised meanwhile."""
    if payment.status in ("authorised", "captured"):
        raise AlreadyPaid
    return payment.evolve(status="failed", failure_code=code) if payment.status == "unpaid" else payment


def due(payment: Payment) -> Due | None:
    """What is to be done at Stripe, now that the order is decided."""
    if payment.order_status == "complete" and payment.status == "authorised":
        return "capture"
    touched = payment.stripe_id is not None and payment.status in ("unpaid", "authorised", "failed")
    if payment.order_status == "cancelled" and touched:
        return "void"
    return None


def settle(payment: Payment, done: Due) -> Payment:
    """The payment once that is done at Stripe."""
    if due(payment) != done:
        return payment
    return payment.evolve(status="captured" if done == "capture" else "voided")


def announce(payment: Payment) -> PaymentCreated | PaymentFailed | None:
    """The event that asks the orders service to decide; nothing once it has decided."""
    if payment.order_status != "created":
        return None
    if payment.status == "authorised":
        assert payment.stripe_id is not None
        return PaymentCreated(id=payment.id, order_id=payment.order_id, stripe_id=payment.stripe_id)
    if payment.status == "failed":
        assert payment.failure_code is not None
        return PaymentFailed(order_id=payment.order_id, code=payment.failure_code)
    return None
