"""What the payments service does on each event of an order."""

from functools import partial

from payments.models import Payment, follow_order
from payments.repository import Payments
from ticketing_common.messaging.listener import Handlers
from ticketing_common.values.events import OrderCancelled, OrderCompleted, OrderCreated, OrderRefunded
from ticketing_common.values.ids import new_id
from ticketing_common.values.money import to_cents


async def on_order_created(event: OrderCreated, payments: Payments) -> None:
    await payments.add(
        Payment(
            id=new_id(),
            order_id=event.id,
            user_id=event.user_id,
            amount_cents=to_cents(event.ticket.price),
            expires_at=event.expires_at,
        )
    )


async def on_order_cancelled(event: OrderCancelled, payments: Payments) -> None:
    await payments.change(event.id, partial(follow_order, version=event.version, status="cancelled"))


async def on_order_completed(event: OrderCompleted, payments: Payments) -> None:
    await payments.change(event.id, partial(follow_order, version=event.version, status="complete"))


async def on_order_refunded(event: OrderRefunded, payments: Payments) -> None:
    await payments.change(event.id, partial(follow_order, version=event.version, status="refunded"))


HANDLERS: Handlers = {
    OrderCreated: on_order_created,
    OrderCancelled: on_order_cancelled,
    OrderCompleted: on_order_completed,
    OrderRefunded: on_order_refunded,
}
