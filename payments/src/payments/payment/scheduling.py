"""Which task a payment needs at Stripe next, and when."""

import random
from datetime import datetime, timedelta
from typing import Literal

from payments.payment.models import Payment, apply_intent, is_before_capture, order_has_ended
from payments.stripe.models import StripeIntent

Task = Literal["look", "capture", "void", "refund"]

LOOK_AFTER = timedelta(seconds=5)
"""An attempt without an outcome is looked into after this time: its process may have died."""
MAX_BACK_OFF = 60.0
"""Seconds."""
OVERDUE = timedelta(minutes=10)
"""A capture, void or refund that is due for longer is logged as an error."""


def next_task(payment: Payment) -> Task | None:
    """What is to be done at Stripe. It depends on the payment's state alone."""
    if order_has_ended(payment):
        if payment.status == "captured":
            return "refund"
        has_started = payment.status in ("begun", "authorised") or payment.stripe_id is not None
        return "void" if has_started and is_before_capture(payment) else None
    if payment.status == "begun":
        return "look"
    return "capture" if payment.status == "authorised" and payment.order_status == "complete" else None


def reschedule(before: Payment, after: Payment, now: datetime) -> Payment:
    """The changed payment with the time of its next task. A task that stays the same keeps its time."""
    task = next_task(after)
    if task == next_task(before):
        return after
    if task is None:
        return after.evolve(settle_at=None, due_since=None, failures=0)
    if task == "look":
        at = now + LOOK_AFTER
        return after.evolve(settle_at=min(at, after.settle_at or at), due_since=None, failures=0)
    return after.evolve(settle_at=now, due_since=now, failures=0)


def schedule_look_after_attempt(payment: Payment, now: datetime) -> Payment:
    """The payment with a look after the buyer's current attempt, in case that is interrupted."""
    return payment.evolve(settle_at=now + LOOK_AFTER, failures=0) if payment.status == "begun" else payment


def schedule_look_now(payment: Payment, now: datetime) -> Payment:
    return payment.evolve(settle_at=now)


def apply_settlement(payment: Payment, intent: StripeIntent, at_start: Payment, now: datetime) -> Payment:
    """The payment after an attempt to settle it, which read the payment as `at_start`."""
    after = apply_intent(payment, intent)
    # Another process has given the payment another task or time meanwhile, which this attempt did not serve.
    if next_task(after) != next_task(payment) or payment.settle_at != at_start.settle_at:
        return after
    return postpone(after, now) if next_task(after) else after.evolve(settle_at=None)


def postpone(payment: Payment, now: datetime) -> Payment:
    """Retry later: exponential back-off from 1 to 60 s, with a jitter of up to half of it."""
    seconds = min(2.0 ** min(payment.failures, 10), MAX_BACK_OFF) * random.uniform(0.5, 1)
    return payment.evolve(failures=payment.failures + 1, settle_at=now + timedelta(seconds=seconds))


def is_overdue(payment: Payment, now: datetime) -> bool:
    return payment.due_since is not None and now - payment.due_since > OVERDUE
