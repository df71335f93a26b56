"""Processing Stripe's events. An event is only a hint: what counts is what Stripe returns when asked."""

from payments.disagreements import report_disagreement
from payments.metrics import WEBHOOKS
from payments.payment.models import Payment, record_intent
from payments.payment.repository import Payments
from payments.payment.scheduling import schedule_look_now
from payments.payment.use_cases import change_payment
from payments.refund.use_cases import refund
from payments.stripe.client import StripeApi
from payments.stripe.models import StripeIntent
from payments.webhooks.models import OUTDATED_FOR, StripeEvent
from payments.webhooks.repository import ProcessedEvents
from ticketing_common.observability.logs import get_logger
from ticketing_common.values.clock import now
from ticketing_common.values.errors import NotFound

log = get_logger(__name__)


async def process_event(
    processed: ProcessedEvents, payments: Payments, stripe: StripeApi, event: StripeEvent
) -> None:
    """Process an event. The result does not depend on the order of events or on how often each one comes.

    Raises StripeUnavailable; Stripe then sends the event again.
    """
    if event.type not in OUTDATED_FOR or event.intent_id is None:
        WEBHOOKS.labels("other", "ignored").inc()
        return
    if await processed.contains(event.id):
        WEBHOOKS.labels(event.type, "duplicate").inc()
        return
    payment = await payments.find_by_intent(event.intent_id)
    if payment:
        outcome = await _schedule_look(payments, payment, event)
    else:
        outcome = await _process_unrecorded_intent(payments, stripe, event.intent_id)
    await processed.add(event.id)
    WEBHOOKS.labels(event.type, outcome).inc()


async def _schedule_look(payments: Payments, payment: Payment, event: StripeEvent) -> str:
    if event.type == "charge.dispute.created":
        log.error("a charge is disputed", payment=payment.id, order=payment.order_id)
    if payment.status in OUTDATED_FOR[event.type]:
        return "known"
    await change_payment(payments, payment.order_id, lambda p: schedule_look_now(p, now()))
    return "heard"


async def _process_unrecorded_intent(payments: Payments, stripe: StripeApi, intent_id: str) -> str:
    """Record the intent if its payment has none yet; otherwise cancel or refund it."""
    intent = await stripe.retrieve(intent_id)
    if intent.order_id is None:
        return "foreign"
    try:
        payment = await payments.get_by_order(intent.order_id)
    except NotFound:
        payment = None
    if payment and _is_intent_of(payment, intent):
        await change_payment(
            payments, payment.order_id, lambda p: schedule_look_now(record_intent(p, intent_id), now())
        )
        return "adopted"
    report_disagreement(
        "no payment has recorded this intent", intent=intent_id, order=intent.order_id, status=intent.status
    )
    if intent.status in ("open", "action", "authorised"):
        await stripe.void(intent_id)
    elif intent.status == "captured" and payment:
        await refund(stripe, intent_id, f"{intent_id}:refund")
    # Money captured for an unknown order is left to a person: the order's payment may have been lost here.
    return "unknown"


def _is_intent_of(payment: Payment, intent: StripeIntent) -> bool:
    return (
        payment.stripe_id is None
        and intent.payment_id == payment.id
        and intent.amount_cents == payment.amount_cents
    )
