"""The HTTP routes of the orders service."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response

from orders.config import Settings
from orders.models import NotRefunded, Order, hold_of, place, refund, withdraw
from orders.repository import Orders
from orders.schemas import HoldOut, OrderIn, OrderOut, OrdersOut, RefundOut, SalesOut
from ticketing_common.app import api_router, part
from ticketing_common.auth import CurrentUser
from ticketing_common.clock import now
from ticketing_common.errors import NotYours
from ticketing_common.idempotency import (
    REPEATABLE,
    IdempotencyKey,
    answer_once,
    created,
    derive_request,
    keyed_request,
)
from ticketing_common.mongo import new_id
from ticketing_common.pages import Cursor, cut_page

PREFIX = "/api/orders"
router = api_router(PREFIX, "orders")

OrdersDep = Annotated[Orders, Depends(part("orders"))]
SettingsDep = Annotated[Settings, Depends(part("settings"))]


@router.post("", status_code=201, response_model=OrderOut, responses=REPEATABLE)
async def place_order(
    body: OrderIn,
    user: CurrentUser,
    orders: OrdersDep,
    settings: SettingsDep,
    request: Request,
    key: IdempotencyKey = None,
) -> Response:
    """Lock a ticket until `expiresAt`."""
    keyed = await keyed_request(request, key, owner=user.id)

    async def claim() -> str:
        ticket = await orders.ticket(body.ticket_id, user.id)
        window = timedelta(seconds=settings.expiration_window_seconds)
        order = await orders.claim(
            ticket.id,
            lambda last: place(new_id(), user.id, ticket, last, now(), window),
            untouched=ticket.version == 0,
            derive=lambda order: derive_request(keyed, _answer(order)),
        )
        return _answer(order)

    return created(await answer_once(keyed, claim, orders.find_answer))


@router.get("")
async def list_orders(
    request: Request,
    response: Response,
    user: CurrentUser,
    orders: OrdersDep,
    newest_first: Annotated[bool, Query(alias="newestFirst")] = False,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    cursor: Cursor = None,
) -> OrdersOut:
    """One's own orders, oldest first or newest first; a `Link` header leads to more."""
    found = await orders.page(user.id, limit + 1, cursor, newest_first=newest_first)
    return OrdersOut(orders=[OrderOut.of(order) for order in cut_page(found, limit, request, response)])


@router.get("/sales")
async def list_sales(
    request: Request,
    response: Response,
    user: CurrentUser,
    orders: OrdersDep,
    status: Literal["created", "complete", "refunded"] = "complete",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> SalesOut:
    """The orders of the tickets that one sells, newest first, and what all one's sales amount to.

    A `Link` header leads to more.
    """
    found = await orders.sales(user.id, status, limit + 1, cursor)
    return SalesOut.of(cut_page(found, limit, request, response), await orders.takings(user.id))


@router.get("/holds/{ticket_id}")
async def show_hold(ticket_id: str, orders: OrdersDep) -> HoldOut:
    """Whether a ticket is free, reserved or sold, whoever asks."""
    last = await orders.last_of(ticket_id)
    if last is None:
        await orders.require_ticket(ticket_id)
    return HoldOut.of(hold_of(last))


@router.get("/{order_id}")
async def show_order(order_id: str, user: CurrentUser, orders: OrdersDep) -> OrderOut:
    """One of one's own orders."""
    return OrderOut.of(_own(await orders.get(order_id), user.id))


@router.delete("/{order_id}", status_code=204)
async def cancel_order(order_id: str, user: CurrentUser, orders: OrdersDep) -> None:
    """Give the ticket back, unless it is paid."""
    await orders.change(order_id, lambda order: withdraw(_own(order, user.id)))


@router.post("/{order_id}/refund")
async def refund_order(order_id: str, user: CurrentUser, orders: OrdersDep) -> OrderOut:
    """Give a buyer the whole price back, as the ticket's seller; the ticket is for sale again."""
    return OrderOut.of(await orders.change(order_id, lambda order: refund(_sold_by(order, user.id))))


@router.get("/{order_id}/refund", response_model_exclude_none=True)
async def show_refund(order_id: str, user: CurrentUser, orders: OrdersDep) -> RefundOut:
    """What became of a refund, for the ticket's seller and the buyer."""
    order = await orders.get(order_id)
    if user.id not in (order.user_id, order.seller_id):
        raise NotYours
    if order.status != "refunded":
        raise NotRefunded
    return RefundOut.of(await orders.refund_of(order_id))


def _answer(order: Order) -> str:
    return OrderOut.of(order).model_dump_json(by_alias=True)


def _sold_by(order: Order, user_id: str) -> Order:
    """Raises NotYours."""
    if order.seller_id != user_id:
        raise NotYours
    return order


def _own(order: Order, user_id: str) -> Order:
    """Raises NotYours."""
    if order.user_id != user_id:
        raise NotYours
    return order
