"""The bodies of the orders service on the wire."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from orders.models import Order
from ticketing_common.events import Reason, Status
from ticketing_common.money import Dollars, to_dollars
from ticketing_common.wire import Body, Says, Wire


class OrderIn(Body):
    ticket_id: Annotated[str, Field(max_length=200), Says("TicketId must be the id of a ticket")]


class TicketOut(Wire):
    id: str
    title: str
    price: Dollars


class OrderOut(Wire):
    id: str
    user_id: str
    status: Status
    reason: Reason | None
    expires_at: AwareDatetime
    version: int
    ticket: TicketOut

    @classmethod
    def of(cls, order: Order) -> "OrderOut":
        return cls(
            id=order.id,
            user_id=order.user_id,
            status=order.status,
            reason=order.reason,
            expires_at=order.expires_at,
            version=order.version,
            ticket=TicketOut(
                id=order.ticket.id, title=order.ticket.title, price=to_dollars(order.ticket.price_cents)
            ),
        )


class OrdersOut(Wire):
    orders: list[OrderOut]
