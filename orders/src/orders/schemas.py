"""The bodies of the orders service on the wire."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from orders.models import Order, Refund
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


class RefundOut(Wire):
    status: Literal["pending", "done", "failed"]
    """pending: Stripe is being asked, again and again if need be; failed: given up."""
    code: str | None = None
    message: str
    """For the seller and the buyer."""

    @classmethod
    def of(cls, refund: Refund | None) -> "RefundOut":
        if refund is None:
            return cls(status="pending", message="The refund is on its way")
        if refund.status == "done":
            return cls(status="done", message="The money goes back to the buyer's card")
        return cls(
            status="failed",
            code=refund.code,
            message="The refund was refused: the seller has to give the money back another way",
        )
