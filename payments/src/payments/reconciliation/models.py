"""What counts as a disagreement between Stripe, a payment and its order. Each one is a sentence."""

from datetime import datetime
from typing import Any, NamedTuple

from payments.payment.models import Payment, PaymentStatus, order_has_ended
from payments.payment.scheduling import is_overdue, next_task
from payments.stripe.models import IntentStatus, StripeIntent

_EXPECTED: dict[PaymentStatus, set[IntentStatus]] = {
    "unpaid": {"open", "missing"},
    "begun": {"open", "action"},
    "authorised": {"authorised"},
    "failed": {"open", "canceled"},
    "captured": {"captured"},
    "voided": {"canceled", "missing"},
    "refunded": {"captured"},
    "refund_failed": {"captured"},
}
"""The states that the intent may have at Stripe, by the payment's state here."""


class Sale(NamedTuple):
    """One order as Stripe, payments and orders have it; None: there is no record."""

    intent: StripeIntent | None
    payment: Payment | None
    order: dict[str, Any] | None

    @property
    def order_id(self) -> str:
        if self.payment:
            return self.payment.order_id
        return str(self.order["_id"] if self.order else self.intent and self.intent.order_id)


def compare_sale(sale: Sale, now: datetime) -> list[str]:
    """The disagreements about a sale. A payment that is still being settled has none until it is overdue."""
    intent, payment, order = sale
    if payment is None:
        if intent is not None and not _is_harmless(intent):
            return [f"Stripe has an intent ({intent.status}), we have no payment for its order"]
        return ["the order has no payment"] if intent is None else []
    if next_task(payment) is not None and not is_overdue(payment, now):
        return []
    if intent is not None and intent.id != payment.stripe_id:
        if _is_harmless(intent):
            return []
        return [f"a second intent ({intent.status}), ours is {payment.stripe_id}"]
    found = compare_payment(payment, intent or StripeIntent(status="missing", id=""))
    if order is not None and order["status"] != payment.order_status:
        found.append(f"the order is {order['status']}, our payment has heard {payment.order_status}")
    if order is not None and order["ticket"]["price_cents"] != payment.amount_cents:
        found.append(
            f"the order costs {order['ticket']['price_cents']} cents, our payment {payment.amount_cents}"
        )
    return found


def compare_payment(payment: Payment, intent: StripeIntent) -> list[str]:
    """The disagreements between a payment and its intent at Stripe."""
    found = []
    if intent.status not in _EXPECTED[payment.status]:
        found.append(f"our payment is {payment.status}, Stripe's intent is {intent.status}")
    if intent.status != "missing" and intent.amount_cents != payment.amount_cents:
        found.append(f"the order costs {payment.amount_cents} cents, the intent is for {intent.amount_cents}")
    if payment.order_status == "complete" and intent.kept_cents != payment.amount_cents:
        found.append(
            f"the order is complete, Stripe keeps {intent.kept_cents} of {payment.amount_cents} cents"
        )
    if payment.order_status != "complete" and intent.kept_cents:
        found.append(f"the order is {payment.order_status}, Stripe keeps {intent.kept_cents} cents")
    if order_has_ended(payment) and intent.status == "authorised":
        found.append(f"the order is {payment.order_status}, Stripe still holds the buyer's money")
    return found


def _is_harmless(intent: StripeIntent) -> bool:
    return intent.status == "canceled" or intent.is_refunded
