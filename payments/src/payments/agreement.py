"""Whether Stripe, a payment and its order agree about the money, and the alarm when they do not."""

from payments.metrics import DISAGREEMENTS
from payments.models import Payment, PaymentStatus, Seen, order_has_ended
from ticketing_common.observability.logs import get_logger

log = get_logger(__name__)

_EXPECTED: dict[PaymentStatus, set[str]] = {
    "unpaid": {"open", "missing"},
    "begun": {"open", "action"},
    "authorised": {"authorised"},
    "failed": {"open", "canceled"},
    "captured": {"captured"},
    "voided": {"canceled", "missing"},
    "refunded": {"captured"},
    "refund_failed": {"captured"},
}
"""What Stripe may say of the intent, by what our payment says."""


def disagreements(payment: Payment, seen: Seen) -> list[str]:
    """What does not fit, each as one sentence; empty when Stripe and we agree."""
    found = []
    if seen.status not in _EXPECTED[payment.status]:
        found.append(f"our payment is {payment.status}, Stripe's intent is {seen.status}")
    if seen.status != "missing" and seen.amount_cents != payment.amount_cents:
        found.append(f"the order costs {payment.amount_cents} cents, the intent is for {seen.amount_cents}")
    if payment.order_status == "complete" and seen.taken_cents != payment.amount_cents:
        found.append(
            f"the order is complete, Stripe keeps {seen.taken_cents} of {payment.amount_cents} cents"
        )
    if payment.order_status != "complete" and seen.taken_cents:
        found.append(f"the order is {payment.order_status}, Stripe keeps {seen.taken_cents} cents")
    if order_has_ended(payment) and seen.status == "authorised":
        found.append(f"the order is {payment.order_status}, Stripe still holds the buyer's money")
    return found


def report(event: str, /, **about: object) -> None:
    """Count and log a disagreement that was come upon: somebody should look."""
    DISAGREEMENTS.inc()
    log.error(event, **about)
