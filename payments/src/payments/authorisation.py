"""Authorising a payment: the steps between a buyer's token and a payment that awaits the order's decision."""

import asyncio
from dataclasses import dataclass
from functools import partial

import stamina

from payments.agreement import report
from payments.intent import make_intent
from payments.models import (
    OrderCancelled,
    Payment,
    Seen,
    answer,
    begin,
    is_paid,
    refuse_unless_payable,
)
from payments.repository import Payments
from payments.schedule import begun_again
from payments.stripe_api import StripeApi, StripeBusy, StripeUnavailable
from ticketing_common.values.clock import now
from ticketing_common.values.errors import MarketError

_BUDGET = 9.5
"""Seconds that a buyer is kept waiting at most; what is in doubt then is looked into by settlement.py."""
_NO_NEW_TRY_AFTER = 8.0


class Declined(MarketError):
    """The bank's refusal, in Stripe's words and with its code."""


@dataclass(frozen=True)
class Authorisation:
    payment_id: str
    client_secret: str | None = None
    """The bank wants the buyer (3-D Secure), whom the browser brings there with this."""


async def pay(
    order_id: str, user_id: str, token: str, payments: Payments, stripe: StripeApi
) -> Authorisation:
    """Authorise the order's amount on the buyer's card.

    Safe to do twice at once and to repeat after a failure at any point: each try begins with what Stripe has.
    Raises NoSuchOrder, NotYours, AlreadyPaid, OrderCancelled, Declined, UnknownToken, StripeUnavailable.
    """
    try:
        async with asyncio.timeout(_BUDGET):
            refuse_unless_payable(await payments.of_order(order_id, user_id), user_id, now())
            async for attempt in stamina.retry_context(
                StripeBusy, attempts=None, timeout=_NO_NEW_TRY_AFTER, wait_max=2.0, wait_jitter=0.2
            ):
                with attempt:
                    return await _try(order_id, user_id, token, payments, stripe)
    except TimeoutError:
        pass
    raise StripeUnavailable


async def _try(
    order_id: str, user_id: str, token: str, payments: Payments, stripe: StripeApi
) -> Authorisation:
    payment = await payments.change(order_id, lambda p: begun_again(begin(p, user_id, now()), now()))
    seen = await _intent(payment, payments, stripe)
    if seen.status == "open" and seen.decline is None:
        seen = await stripe.confirm(seen.stripe_id, token)
    if seen.status == "missing":
        report("stripe does not know an intent that it gave us", intent=seen.stripe_id, order=order_id)
    payment = await payments.change(order_id, partial(answer, seen=seen))
    if payment.order_status == "cancelled":
        raise OrderCancelled
    if is_paid(payment):
        return Authorisation(payment.id)
    if payment.status == "failed":
        if seen.decline:
            raise Declined(seen.decline.message, code=seen.decline.code)
        raise OrderCancelled
    if seen.status == "action":
        return Authorisation(payment.id, seen.client_secret)
    raise StripeBusy  # another call is about to decide it, or Stripe has lost the intent and gets another


async def _intent(payment: Payment, payments: Payments, stripe: StripeApi) -> Seen:
    """The payment's one intent. Raises OrderCancelled when that came meanwhile."""
    if payment.stripe_id:
        return await stripe.look(payment.stripe_id)
    payment, made = await make_intent(payment, payments, stripe)
    if payment.order_status == "cancelled":
        raise OrderCancelled
    assert payment.stripe_id is not None
    return made if payment.stripe_id == made.stripe_id else await stripe.look(payment.stripe_id)
