"""Authorising a payment: the steps between a buyer's token and a payment that awaits the order's decision."""

from functools import partial

from payments.models import OrderCancelled, Payment, authorise, begin, fail, refuse_unless_payable
from payments.repository import Payments
from payments.stripe_api import Decline, StripeApi
from ticketing_common.clock import now
from ticketing_common.errors import MarketError


class Declined(MarketError):
    """The bank's refusal, in Stripe's words and with its code."""


async def pay(order_id: str, user_id: str, token: str, payments: Payments, stripe: StripeApi) -> Payment:
    """Authorise the order's amount on the buyer's card.

    Safe to do twice at once and to repeat after a failure at any point: see models.py.
    Raises NoSuchOrder, NotYours, AlreadyPaid, OrderCancelled, Declined, UnknownToken, StripeUnavailable.
    """
    payment = await payments.of_order(order_id)
    refuse_unless_payable(payment, user_id, now())
    if payment.stripe_id is None:
        intent_id = await stripe.create_intent(payment)
        payment = await payments.change(
            order_id, lambda p: begin(p, stripe_id=intent_id, user_id=user_id, now=now())
        )
    assert payment.stripe_id is not None
    answer = await stripe.confirm(payment.stripe_id, token)
    if isinstance(answer, Decline):
        await payments.change(order_id, partial(fail, code=answer.code))
        raise Declined(answer.message, code=answer.code)
    if answer == "canceled":
        raise OrderCancelled
    return await payments.change(order_id, authorise)
