"""What buyers and sellers do with orders: place, cancel, refund and look at them."""

from datetime import timedelta

from orders.models import (
    Hold,
    Order,
    OrderNotRefunded,
    Refund,
    Ticket,
    cancel_by_buyer,
    check_buyer,
    check_seller,
    create_order,
    determine_hold,
    refund,
)
from orders.repository import Orders
from orders.schemas import OrderOut
from ticketing_common.storage.idempotency import KeyedRequest, request_fields
from ticketing_common.values.clock import now
from ticketing_common.values.errors import NotYours
from ticketing_common.values.ids import new_id


async def place_order(
    orders: Orders, buyer_id: str, ticket_id: str, window: timedelta, request: KeyedRequest | None = None
) -> str:
    """Reserve a ticket for a buyer. Returns the response body, which is stored with a keyed request.

    Raises NotFound, TicketAlreadyReserved, Unavailable and IdempotencyKeyTaken.
    """
    ticket = await orders.get_ticket(ticket_id, buyer_id)
    order = await claim_ticket(orders, ticket, buyer_id, window, request)
    return _response_body(order)


async def claim_ticket(
    orders: Orders, ticket: Ticket, buyer_id: str, window: timedelta, request: KeyedRequest | None = None
) -> Order:
    """Insert the ticket's next order: the insert reserves the ticket.

    A unique index allows one nth order of a ticket, so of concurrent buyers one succeeds. Raises
    TicketAlreadyReserved and IdempotencyKeyTaken.
    """
    # At version 0 the ticket had no order when its latest event was published, so the look-up is skipped: if
    # there is an order by now, the insert fails.
    last = None if ticket.version == 0 else await orders.find_last(ticket.id)
    while True:
        order = create_order(new_id(), buyer_id, ticket, last, now(), window)
        if await orders.try_claim(order, **request_fields(request, _response_body(order))):
            return order
        last = await orders.find_last(ticket.id)


async def cancel_order(orders: Orders, order_id: str, buyer_id: str) -> None:
    """Cancel a buyer's unpaid order, which frees its ticket; idempotent.

    Raises NotFound, NotYours and OrderAlreadyPaid.
    """

    def decide(order: Order) -> Order:
        check_buyer(order, buyer_id)
        return cancel_by_buyer(order)

    await orders.change(order_id, decide)


async def refund_order(orders: Orders, order_id: str, seller_id: str) -> Order:
    """Refund a paid order of a seller's ticket, which frees the ticket; idempotent.

    The payments service returns the money when it consumes order.refunded. Raises NotFound, NotYours and
    OrderNotPaid.
    """

    def decide(order: Order) -> Order:
        check_seller(order, seller_id)
        return refund(order)

    return await orders.change(order_id, decide)


async def get_order(orders: Orders, order_id: str, buyer_id: str) -> Order:
    """Raises NotFound and NotYours."""
    order = await orders.get(order_id)
    check_buyer(order, buyer_id)
    return order


async def get_hold(orders: Orders, ticket_id: str) -> Hold:
    """Whether a ticket is free, reserved or sold. Raises NotFound and Unavailable."""
    last = await orders.find_last(ticket_id)
    if last is None:
        await orders.get_ticket(ticket_id)  # raises NotFound if the ticket does not exist
    return determine_hold(last)


async def find_refund(orders: Orders, order_id: str, user_id: str) -> Refund | None:
    """The outcome of a refund, for its buyer or seller; None while it is pending.

    Raises NotFound, NotYours and OrderNotRefunded.
    """
    order = await orders.get(order_id)
    if user_id not in (order.user_id, order.seller_id):
        raise NotYours
    if order.status != "refunded":
        raise OrderNotRefunded
    return await orders.find_refund(order_id)


def _response_body(order: Order) -> str:
    return OrderOut.of(order).model_dump_json(by_alias=True)
