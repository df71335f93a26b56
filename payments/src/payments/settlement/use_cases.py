"""Settling one payment."""

from functools import partial

from payments.disagreements import report_disagreement
from payments.payment.models import Payment, refund_key
from payments.payment.repository import Payments
from payments.payment.scheduling import Task, apply_settlement, is_overdue, next_task, postpone
from payments.payment.use_cases import change_payment, create_intent, replace_failed_key
from payments.reconciliation.models import compare_payment
from payments.refund.use_cases import refund
from payments.stripe.client import StripeApi, StripeUnavailable
from payments.stripe.models import StripeIntent
from ticketing_common.observability.logs import get_logger
from ticketing_common.values.clock import now

log = get_logger(__name__)


async def settle(payments: Payments, stripe: StripeApi, payment: Payment) -> None:
    """Try the payment's next task at Stripe once. Stores the result, or postpones the task if it failed."""
    task = next_task(payment) or "look"
    details = {"task": task, "payment": payment.id, "order": payment.order_id}
    try:
        at_call, intent = await _perform(payments, stripe, payment, task)
    except StripeUnavailable as error:
        if error.needs_new_key:
            await replace_failed_key(payments, payment)
        await change_payment(payments, payment.order_id, partial(postpone, now=now()))
        if is_overdue(payment, now()):
            log.error("payment not settled for 10 minutes, will retry", since=payment.due_since, **details)
        else:
            log.warning("payment not settled, will retry", **details)
        return
    before = at_call

    def apply(current: Payment) -> Payment:
        nonlocal before
        before = current
        return apply_settlement(current, intent, payment, now())

    after = await change_payment(payments, payment.order_id, apply)
    log.info("settled", before=payment.status, after=after.status, stripe=intent.status, **details)
    if intent.status == "missing":
        report_disagreement("intent is missing at stripe", intent=intent.id, **details)
    # If the payment changed during the call, Stripe's response is outdated and cannot prove a disagreement.
    is_current = before.version == at_call.version
    is_final = after.order_status != "created" and next_task(after) is None
    if is_current and is_final and (disagreements := compare_payment(after, intent)):
        report_disagreement("stripe and the payment disagree", disagreements=disagreements, **details)


async def _perform(
    payments: Payments, stripe: StripeApi, payment: Payment, task: Task
) -> tuple[Payment, StripeIntent]:
    """The payment at the time of the call to Stripe, and the intent that Stripe returned."""
    if payment.stripe_id is None:
        payment, _ = await create_intent(payments, stripe, payment)
    intent_id = payment.stripe_id
    assert intent_id is not None
    match task:
        case "capture":
            return payment, await stripe.capture(intent_id)
        case "void":
            return payment, await stripe.void(intent_id)
        case "refund":
            return payment, await refund(stripe, intent_id, refund_key(payment))
        case "look":
            return payment, await stripe.retrieve(intent_id)
