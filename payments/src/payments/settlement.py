"""Settling with Stripe what the orders service has decided: capture or void, until it is done."""

import asyncio
from functools import partial

from payments.models import Payment, due, settle
from payments.repository import Payments
from payments.stripe_api import StripeApi
from ticketing_common.errors import Unavailable
from ticketing_common.logs import get_logger

_BATCH = 20
_SWEEP_EVERY = 1.0

log = get_logger(__name__)


async def run(payments: Payments, stripe: StripeApi, stopping: asyncio.Event) -> None:
    """Settle whatever is due, at once when this process made it so, else by a sweep, until told to stop.

    What is due stands in the payment itself, so a crash or an outage only delays it; and an intent can be
    captured or voided once, so two replicas that settle the same payment do no harm.
    """
    while not stopping.is_set():
        payments.something_due.clear()
        batch = await payments.due(_BATCH)
        done = await asyncio.gather(*(_settle(payment, payments, stripe) for payment in batch))
        if not batch:
            await _wait(_SWEEP_EVERY, payments.something_due, stopping)
        elif not all(done):
            await _wait(_SWEEP_EVERY, stopping)


async def _wait(seconds: float, *events: asyncio.Event) -> None:
    """Until one of the events is set, or the time is over."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


async def _settle(payment: Payment, payments: Payments, stripe: StripeApi) -> bool:
    """Whether it is done; False when Stripe could not be reached."""
    todo = due(payment)
    assert todo is not None
    assert payment.stripe_id is not None
    try:
        await (stripe.capture if todo == "capture" else stripe.void)(payment.stripe_id)
    except Unavailable:
        log.warning("not settled yet, trying again", todo=todo, payment=payment.id, order=payment.order_id)
        return False
    await payments.change(payment.order_id, partial(settle, done=todo))
    log.info("settled", done=todo, payment=payment.id, order=payment.order_id)
    return True
