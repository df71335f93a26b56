"""The event handlers of the orders service."""

from functools import partial

from orders.models import Refund, Ticket, cancel, complete, expire
from orders.repository import Orders
from ticketing_common.messaging.listener import Handlers
from ticketing_common.values.clock import now
from ticketing_common.values.events import (
    ExpirationComplete,
    PaymentCreated,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundFailed,
    TicketCreated,
    TicketUpdated,
)
from ticketing_common.values.money import to_cents


async def on_ticket_changed(event: TicketCreated | TicketUpdated, orders: Orders) -> None:
    await orders.store_ticket(
        Ticket(
            id=event.id,
            version=event.version,
            title=event.title,
            price_cents=to_cents(event.price),
            seller_id=event.user_id,
        )
    )


async def on_expiration_complete(event: ExpirationComplete, orders: Orders) -> None:
    await orders.change(event.order_id, partial(expire, now=now()))


async def on_payment_created(event: PaymentCreated, orders: Orders) -> None:
    await orders.change(event.order_id, complete)


async def on_payment_failed(event: PaymentFailed, orders: Orders) -> None:
    await orders.change(event.order_id, partial(cancel, reason="payment-failed"))


async def on_payment_refunded(event: PaymentRefunded, orders: Orders) -> None:
    await orders.store_refund(Refund(id=event.order_id, payment_version=event.version, status="done"))


async def on_payment_refund_failed(event: PaymentRefundFailed, orders: Orders) -> None:
    await orders.store_refund(
        Refund(id=event.order_id, payment_version=event.version, status="failed", code=event.code)
    )


HANDLERS: Handlers = {
    TicketCreated: on_ticket_changed,
    TicketUpdated: on_ticket_changed,
    ExpirationComplete: on_expiration_complete,
    PaymentCreated: on_payment_created,
    PaymentFailed: on_payment_failed,
    PaymentRefunded: on_payment_refunded,
    PaymentRefundFailed: on_payment_refund_failed,
}
