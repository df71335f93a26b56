"""What Stripe's events make us do. They are hints: what is true is looked up at Stripe."""

from payments.agreement import report
from payments.metrics import WEBHOOKS
from payments.models import NoSuchOrder, Payment, PaymentStatus, Seen, note
from payments.repository import Payments
from payments.schedule import heard
from payments.stripe_api import StripeApi
from payments.stripe_events import StripeEvent
from ticketing_common.observability.logs import get_logger
from ticketing_common.values.clock import now

_OLD_NEWS: dict[str, set[PaymentStatus]] = {
    "payment_intent.amount_capturable_updated": {"authorised", "captured", "refunded", "refund_failed"},
    "payment_intent.succeeded": {"captured", "refunded", "refund_failed"},
    "payment_intent.payment_failed": {"failed", "voided"},
    "payment_intent.canceled": {"voided"},
    "charge.refunded": {"refunded"},
    "charge.dispute.created": set(),
    "refund.failed": {"refund_failed"},
}
"""The events that matter, each with the states of a payment that it can add nothing to."""

log = get_logger(__name__)


async def hear(event: StripeEvent, payments: Payments, stripe: StripeApi) -> None:
    """Take a signed event in. However often and in whatever order they come, they end in the same.

    Raises StripeUnavailable, after which Stripe repeats the event.
    """
    if event.type not in _OLD_NEWS or event.intent_id is None:
        WEBHOOKS.labels("other", "ignored").inc()
        return
    if await payments.remembers(event.id):
        WEBHOOKS.labels(event.type, "duplicate").inc()
        return
    payment = await payments.of_intent(event.intent_id)
    if payment:
        outcome = await _look_soon(event, payment, payments)
    else:
        outcome = await _settle_unknown(event.intent_id, payments, stripe)
    await payments.remember(event.id)
    WEBHOOKS.labels(event.type, outcome).inc()


async def _look_soon(event: StripeEvent, payment: Payment, payments: Payments) -> str:
    if event.type == "charge.dispute.created":
        log.error("a charge is disputed", payment=payment.id, order=payment.order_id)
    if payment.status in _OLD_NEWS[event.type]:
        return "known"
    await payments.change(payment.order_id, lambda p: heard(p, now()))
    return "heard"


async def _settle_unknown(intent_id: str, payments: Payments, stripe: StripeApi) -> str:
    """An intent that no payment has noted: it becomes its payment's, or its money goes back."""
    seen = await stripe.look(intent_id)
    if seen.order_id is None:
        return "foreign"
    try:
        payment = await payments.of_order(seen.order_id)
    except NoSuchOrder:
        payment = None
    if payment and _is_the_intent_of(payment, seen):
        await payments.change(payment.order_id, lambda p: heard(note(p, intent_id), now()))
        return "adopted"
    report("an intent that no payment has noted", intent=intent_id, order=seen.order_id, status=seen.status)
    if seen.status in ("open", "action", "authorised"):
        await stripe.void(intent_id)
    elif seen.status == "captured" and payment:
        await stripe.refund(intent_id, f"{intent_id}:refund")
    # Money for an order of which we know nothing at all is left to a person: it may be our data that is lost.
    return "unknown"


def _is_the_intent_of(payment: Payment, seen: Seen) -> bool:
    return (
        payment.stripe_id is None
        and seen.payment_id == payment.id
        and seen.amount_cents == payment.amount_cents
    )
