"""Rebuilds a restored database from what the stream tells, while the service is stopped: docs/backups.md.

    MONGO_URI=... NATS_URL=... python -m payments.rebuild

What matters is that every intent which has moved money is noted again before Stripe's webhooks come: one that
no payment has noted is released, or given back. What became of it at Stripe, the started service looks up.
"""

import asyncio
from functools import partial

from payments.handlers import HANDLERS as OF_ORDERS
from payments.models import Payment
from payments.repository import Payments
from ticketing_common.events import PaymentCreated
from ticketing_common.listener import Handlers
from ticketing_common.outbox import Relay
from ticketing_common.rebuild import rebuild


def was_authorised(payment: Payment, stripe_id: str) -> Payment:
    """The payment, unless it remembers that."""
    if payment.status not in ("unpaid", "begun"):
        return payment
    return payment.evolve(status="authorised", stripe_id=stripe_id)


async def on_payment_created(event: PaymentCreated, payments: Payments) -> None:
    await payments.change(event.order_id, partial(was_authorised, stripe_id=event.stripe_id))


HANDLERS: Handlers = {**OF_ORDERS, PaymentCreated: on_payment_created}


async def main() -> int:
    # The relay does not run: what payments announce waits for the service.
    return await rebuild("payments", HANDLERS, lambda database, bus: Payments(database, Relay(bus)))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
