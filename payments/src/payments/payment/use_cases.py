"""Paying for an order, and changing a payment."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import stamina

from payments.disagreements import report_disagreement
from payments.payment.models import (
    OrderCancelled,
    Payment,
    apply_intent_for_buyer,
    check_payable,
    is_paid,
    may_have_unrecorded_intent,
    new_intent,
    record_intent,
    replace_idempotency_key,
    start_attempt,
)
from payments.payment.repository import Payments
from payments.payment.scheduling import reschedule, schedule_look_after_attempt
from payments.stripe.client import StripeApi, StripeBusy, StripeUnavailable
from payments.stripe.models import StripeIntent
from ticketing_common.values.clock import now
from ticketing_common.values.errors import MarketError

_TIME_LIMIT = 9.5
"""Seconds until the buyer gets a response. The settlement looks into an attempt without an outcome."""
_NO_RETRY_AFTER = 8.0


class Declined(MarketError):
    """The bank declined the card; with Stripe's message and code."""


@dataclass(frozen=True)
class Authorisation:
    payment_id: str
    client_secret: str | None = None
    """With this the browser lets the buyer authenticate at the bank (3-D Secure); None: not needed."""


async def pay(
    payments: Payments, stripe: StripeApi, order_id: str, user_id: str, token: str
) -> Authorisation:
    """Authorise the order's amount on the buyer's card.

    Idempotent, also when called concurrently and after a failure at any point: every attempt begins with
    what Stripe has. Raises NotFound, NotYours, AlreadyPaid, OrderCancelled, Declined, UnknownToken,
    StripeUnavailable.
    """
    try:
        async with asyncio.timeout(_TIME_LIMIT):
            check_payable(await payments.get_by_order(order_id, user_id), user_id, now())
            async for attempt in stamina.retry_context(
                StripeBusy, attempts=None, timeout=_NO_RETRY_AFTER, wait_max=2.0, wait_jitter=0.2
            ):
                with attempt:
                    return await attempt_payment(payments, stripe, order_id, user_id, token)
    except TimeoutError:
        pass
    raise StripeUnavailable


async def attempt_payment(
    payments: Payments, stripe: StripeApi, order_id: str, user_id: str, token: str
) -> Authorisation:
    """One attempt of `pay`. Raises StripeBusy if another one may succeed."""
    payment = await change_payment(
        payments, order_id, lambda p: schedule_look_after_attempt(start_attempt(p, user_id, now()), now())
    )
    if payment.stripe_id:
        intent = await stripe.retrieve(payment.stripe_id)
    else:
        payment, intent = await create_intent(payments, stripe, payment)
        if payment.order_status == "cancelled":
            raise OrderCancelled
        if payment.stripe_id and payment.stripe_id != intent.id:
            intent = await stripe.retrieve(payment.stripe_id)
    if intent.status == "open" and intent.decline is None:
        intent = await stripe.confirm(intent.id, token)
    if intent.status == "missing":
        report_disagreement("intent is missing at stripe", intent=intent.id, order=order_id)
    payment = await change_payment(payments, order_id, partial(apply_intent_for_buyer, intent=intent))
    if payment.order_status == "cancelled":
        raise OrderCancelled
    if is_paid(payment):
        return Authorisation(payment.id)
    if payment.status == "failed":
        if intent.decline:
            raise Declined(intent.decline.message, code=intent.decline.code)
        raise OrderCancelled
    if intent.status == "action":
        return Authorisation(payment.id, intent.client_secret)
    raise StripeBusy  # a concurrent attempt is about to decide, or the lost intent is replaced by a new one


async def create_intent(
    payments: Payments, stripe: StripeApi, payment: Payment
) -> tuple[Payment, StripeIntent]:
    """Create the payment's intent and record it. Returns the payment and the created intent.

    Concurrent and repeated calls use the same idempotency key, so they get the same intent. If one of them
    gets another intent all the same, the payment keeps the one recorded first. Raises StripeUnavailable.
    """
    try:
        created = await _find_unrecorded(stripe, payment) or await stripe.create(new_intent(payment))
    except StripeUnavailable as error:
        if error.needs_new_key:
            await replace_failed_key(payments, payment)
        raise
    record = partial(record_intent, intent_id=created.id)
    return await change_payment(payments, payment.order_id, record), created


async def _find_unrecorded(stripe: StripeApi, payment: Payment) -> StripeIntent | None:
    """An intent that was created but not recorded, and that the current idempotency key may not return."""
    if not may_have_unrecorded_intent(payment, now()):
        return None
    assert payment.intent_requested_at is not None
    return await stripe.find(payment.id, payment.intent_requested_at, payment.expires_at)


async def replace_failed_key(payments: Payments, payment: Payment) -> None:
    """Use the next idempotency key for this payment, after an error with `needs_new_key`."""
    replace = partial(replace_idempotency_key, failed_no=payment.idempotency_key_no)
    await change_payment(payments, payment.order_id, replace)


async def change_payment(payments: Payments, order_id: str, decide: Callable[[Payment], Payment]) -> Payment:
    """Change the payment of an order, and schedule the task that its new state needs.

    Every change of a payment's state goes through this function. Raises NotFound, Unavailable, and what
    `decide` raises.
    """
    at = now()
    payment = await payments.change(order_id, lambda before: reschedule(before, decide(before), at))
    if payment.settle_at and payment.settle_at <= at:
        payments.work_is_due.set()
    return payment
