"""The request and response bodies of the orders service."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field
from pydantic.json_schema import SkipJsonSchema

from orders.models import Hold, Order, Refund, SalesTotals
from ticketing_common.values.events import CancellationReason, OrderStatus
from ticketing_common.values.money import Dollars, to_dollars
from ticketing_common.values.wire import ErrorMessage, RequestBody, WireModel


class OrderIn(RequestBody):
    ticket_id: Annotated[str, Field(max_length=200), ErrorMessage("TicketId must be the id of a ticket")]


class TicketOut(WireModel):
    id: str
    title: str
    price: Dollars


class OrderOut(WireModel):
    id: str
    user_id: str
    status: OrderStatus
    reason: CancellationReason | None
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


class OrdersOut(WireModel):
    orders: list[OrderOut]


class SalesOut(OrdersOut):
    reserved: int
    """The number of unpaid orders, on all pages."""
    sold: int
    """The number of orders that are paid and not refunded, on all pages."""
    earnings: Dollars
    """The sum of the prices of the sold tickets, as ordered."""

    @classmethod
    def of(cls, page: list[Order], totals: SalesTotals) -> "SalesOut":
        return cls(
            orders=[OrderOut.of(order) for order in page],
            reserved=totals.reserved,
            sold=totals.sold,
            earnings=to_dollars(totals.earnings_cents),
        )


class HoldOut(WireModel):
    status: Literal["free", "reserved", "sold"]
    until: AwareDatetime | None
    """When a reservation expires if it is not paid."""

    @classmethod
    def of(cls, hold: Hold) -> "HoldOut":
        return cls(status=hold.status, until=hold.until)


class RefundOut(WireModel):
    status: Literal["pending", "done", "failed"]
    """pending: the request to Stripe is retried until it succeeds; failed: Stripe rejected the refund."""
    code: str | SkipJsonSchema[None] = None
    message: str
    """A sentence for the seller and the buyer."""

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
