"""Rebuilds payments from the events of orders and from payment.created.

Every PaymentIntent that has moved money must be in its payment again before Stripe's webhooks arrive, because
the service cancels or refunds intents without a payment. It reads their state from Stripe after its start.
"""

from functools import partial

from payments.handlers import HANDLERS as ORDER_HANDLERS
from payments.payment.handlers import change_payment_on_event
from payments.payment.models import Payment
from payments.payment.repository import Payments
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.listener import Handlers
from ticketing_common.storage.mongo import Database
from ticketing_common.storage.outbox import Outbox
from ticketing_common.values.events import PaymentCreated


def authorise(payment: Payment, stripe_id: str) -> Payment:
    """The payment with its intent, unless it already has one."""
    if payment.status not in ("unpaid", "begun"):
        return payment
    return payment.evolve(status="authorised", stripe_id=stripe_id)


async def on_payment_created(event: PaymentCreated, payments: Payments) -> None:
    await change_payment_on_event(payments, event.order_id, partial(authorise, stripe_id=event.stripe_id))


HANDLERS: Handlers = {**ORDER_HANDLERS, PaymentCreated: on_payment_created}


def open_repository(database: Database, bus: Bus) -> Payments:
    return Payments(database, Outbox(), Arrivals(bus))  # publishes nothing without a relay
