"""Settling with Stripe: capture, void or refund as the order was decided, and look into what is in doubt."""

import asyncio
from functools import partial

from payments.agreement import disagreements, report
from payments.intent import make_intent
from payments.metrics import OLDEST_DUE
from payments.models import Payment, Seen, renew_key
from payments.repository import Payments
from payments.schedule import is_overdue, postponed, settled, task
from payments.stripe_api import StripeApi, StripeUnavailable
from ticketing_common.clock import now
from ticketing_common.logs import get_logger

_BATCH = 20
_SWEEP_EVERY = 1.0

log = get_logger(__name__)


async def run(payments: Payments, stripe: StripeApi, stopping: asyncio.Event) -> None:
    """Settle whatever is open, at once when this process made it so, else by a sweep, until told to stop.

    What is open stands in the payment itself, so a crash or an outage only delays it; and Stripe does each
    thing to an intent once, so two replicas that settle the same payment do no harm.
    """
    while not stopping.is_set():
        payments.something_open.clear()
        batch = await payments.open(_BATCH)
        await asyncio.gather(*(settle(payment, payments, stripe) for payment in batch))
        since = await payments.due_longest()
        OLDEST_DUE.set((now() - since).total_seconds() if since else 0)
        if not batch:
            await _wait(_SWEEP_EVERY, payments.something_open, stopping)


async def _wait(seconds: float, *events: asyncio.Event) -> None:
    """Until one of the events is set, or the time is over."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


async def settle(payment: Payment, payments: Payments, stripe: StripeApi) -> None:
    """Do what the payment's state asks for, once; what fails is put off."""
    todo = task(payment) or "look"
    about = {"todo": todo, "payment": payment.id, "order": payment.order_id}
    try:
        asked, seen = await _ask(payment, todo, payments, stripe)
    except StripeUnavailable as error:
        if error.key_is_spent:
            await payments.change(payment.order_id, partial(renew_key, spent=payment.key_no))
        await payments.change(payment.order_id, partial(postponed, now=now()))
        if is_overdue(payment, now()):
            log.error("not settled for more than 10 minutes, trying on", since=payment.due_since, **about)
        else:
            log.warning("not settled yet, trying again", **about)
        return
    found = asked

    def take_in(current: Payment) -> Payment:
        nonlocal found
        found = current
        return settled(current, seen, payment, now())

    after = await payments.change(payment.order_id, take_in)
    log.info("settled", was=payment.status, now=after.status, seen=seen.status, **about)
    if seen.status == "missing":
        report("stripe does not know an intent that it gave us", intent=seen.stripe_id, **about)
    # What was seen before another write is old news, and proves nothing.
    is_final = found.version == asked.version and after.order_status != "created" and task(after) is None
    if is_final and (what := disagreements(after, seen)):
        report("stripe and we disagree", what=what, **about)


async def _ask(payment: Payment, todo: str, payments: Payments, stripe: StripeApi) -> tuple[Payment, Seen]:
    """The payment as it was when Stripe was asked, and what Stripe had then."""
    if payment.stripe_id is None:
        payment, _ = await make_intent(payment, payments, stripe)
    stripe_id = payment.stripe_id
    assert stripe_id is not None
    if todo == "capture":
        return payment, await stripe.capture(stripe_id)
    if todo == "void":
        return payment, await stripe.void(stripe_id)
    if todo == "refund":
        return payment, await stripe.refund(stripe_id, f"{payment.id}:refund:{payment.key_no}")
    return payment, await stripe.look(stripe_id)
