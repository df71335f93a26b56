"""The handler of the event that an order was refunded."""

from payments.payment.handlers import change_order_status
from payments.payment.repository import Payments
from ticketing_common.messaging.listener import Handlers
from ticketing_common.values.events import OrderRefunded


async def on_order_refunded(event: OrderRefunded, payments: Payments) -> None:
    """The settlement then refunds the payment, or voids it if it is not captured yet."""
    await change_order_status(payments, event.id, event.version, "refunded")


HANDLERS: Handlers = {OrderRefunded: on_order_refunded}
