"""When Stripe is next to be dealt with for a payment, and what about."""

import random
from datetime import datetime, timedelta
from typing import Literal

from payments.models import Payment, Seen, observe, order_has_ended

Task = Literal["look", "capture", "void", "refund"]

LOOK_AFTER = timedelta(seconds=5)
"""A try that has no end by then is looked into: the process that began it may be dead."""
LONGEST_WAIT = 60.0
"""Seconds until what failed again and again is tried once more."""
OVERDUE = timedelta(minutes=10)
"""Stripe has to be told and was not for so long: somebody should know."""


def task(payment: Payment) -> Task | None:
    """What is to be done at Stripe; it follows from the payment's state alone."""
    if order_has_ended(payment):
        if payment.status == "captured":
            return "refund"
        touched = payment.status in ("begun", "authorised") or payment.stripe_id is not None
        return "void" if touched and payment.status in ("unpaid", "begun", "authorised", "failed") else None
    if payment.status == "begun":
        return "look"
    return "capture" if payment.status == "authorised" and payment.order_status == "complete" else None


def scheduled(before: Payment, after: Payment, now: datetime) -> Payment:
    """A changed payment, with the time of its new task. A task that stays keeps its time."""
    todo = task(after)
    if todo == task(before):
        return after
    if todo is None:
        return after.evolve(settle_at=None, due_since=None, failures=0)
    if todo == "look":
        soon = now + LOOK_AFTER
        return after.evolve(settle_at=min(soon, after.settle_at or soon), due_since=None, failures=0)
    return after.evolve(settle_at=now, due_since=now, failures=0)


def begun_again(payment: Payment, now: datetime) -> Payment:
    """Another try of the buyer: if it is cut off, somebody must look soon."""
    return payment.evolve(settle_at=now + LOOK_AFTER, failures=0) if payment.status == "begun" else payment


def heard(payment: Payment, now: datetime) -> Payment:
    """Stripe has said that something happened: look at it now."""
    return payment.evolve(settle_at=now)


def settled(payment: Payment, seen: Seen, read: Payment, now: datetime) -> Payment:
    """The payment after its task was tried, which was chosen when the payment was as `read`."""
    after = observe(payment, seen)
    # What was heard since the look is looked at by itself.
    if task(after) != task(payment) or payment.settle_at != read.settle_at:
        return after
    return postponed(after, now) if task(after) else after.evolve(settle_at=None)


def postponed(payment: Payment, now: datetime) -> Payment:
    """The task is not done: later, after a wait that doubles from 1 to 60 s, less up to a half by chance."""
    seconds = min(2.0 ** min(payment.failures, 10), LONGEST_WAIT) * random.uniform(0.5, 1)
    return payment.evolve(failures=payment.failures + 1, settle_at=now + timedelta(seconds=seconds))


def is_overdue(payment: Payment, now: datetime) -> bool:
    return payment.due_since is not None and now - payment.due_since > OVERDUE
