"""The handlers of the orders' events."""

from collections.abc import Callable
from functools import partial

from payments.payment.models import OrderStatus, Payment, apply_order_event
from payments.payment.repository import Payments
from payments.payment.use_cases import change_payment
from ticketing_common.messaging.listener import Handlers
from ticketing_common.values.aggregate import EarlierEventMissing
from ticketing_common.values.errors import NotFound
from ticketing_common.values.events import OrderCancelled, OrderCompleted, OrderCreated
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
    await change_order_status(payments, event.id, event.version, "cancelled")


async def on_order_completed(event: OrderCompleted, payments: Payments) -> None:
    await change_order_status(payments, event.id, event.version, "complete")


async def change_order_status(payments: Payments, order_id: str, version: int, status: OrderStatus) -> None:
    """Raises EarlierEventMissing."""
    await change_payment_on_event(
        payments, order_id, partial(apply_order_event, version=version, status=status)
    )


async def change_payment_on_event(
    payments: Payments, order_id: str, decide: Callable[[Payment], Payment]
) -> None:
    """Raises EarlierEventMissing if the order's order.created was not consumed yet."""
    try:
        await change_payment(payments, order_id, decide)
    except NotFound:
        raise EarlierEventMissing(f"order {order_id} has no payment yet") from None


HANDLERS: Handlers = {
    OrderCreated: on_order_created,
    OrderCancelled: on_order_cancelled,
    OrderCompleted: on_order_completed,
}
