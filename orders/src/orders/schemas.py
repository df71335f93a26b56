"""The bodies of the orders service on the wire."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field
from pydantic.json_schema import SkipJsonSchema

from orders.models import Hold, Order, Refund, Takings
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


class SalesOut(OrdersOut):
    reserved: int
    """How many of all one's sales wait for their payment."""
    sold: int
    """How many are paid, and not given back."""
    earnings: Dollars
    """The prices of those sold, as they were ordered."""

    @classmethod
    def of(cls, page: list[Order], takings: Takings) -> "SalesOut":
        return cls(
            orders=[OrderOut.of(order) for order in page],
            reserved=takings.reserved,
            sold=takings.sold,
            earnings=to_dollars(takings.earnings_cents),
        )


class HoldOut(Wire):
    status: Literal["free", "reserved", "sold"]
    until: AwareDatetime | None
    """When a reservation ends, unless it is paid."""

    @classmethod
    def of(cls, hold: Hold) -> "HoldOut":
        return cls(status=hold.status, until=hold.until)


class RefundOut(Wire):
    status: Literal["pending", "done", "failed"]
    """pending: Stripe is being asked, again and again if need be; failed: given up."""
    code: str | SkipJsonSchema[None] = None
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
