"""The HTTP routes of the orders service."""

from datetime import timedelta
from functools import partial
from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response

from orders import use_cases
from orders.config import Settings
from orders.repository import Orders
from orders.schemas import HoldOut, OrderIn, OrderOut, OrdersOut, RefundOut, SalesOut
from ticketing_common.http.app import api_router, app_state
from ticketing_common.http.idempotency import (
    IDEMPOTENT_RESPONSES,
    IdempotencyKey,
    created_response,
    read_keyed_request,
    respond_once,
)
from ticketing_common.http.pagination import Cursor, paginate
from ticketing_common.http.sessions import CurrentUser

router = api_router("/api/orders", "orders")

OrdersDep = Annotated[Orders, Depends(app_state("orders"))]
SettingsDep = Annotated[Settings, Depends(app_state("settings"))]


@router.post("", status_code=201, response_model=OrderOut, responses=IDEMPOTENT_RESPONSES)
async def place_order(
    body: OrderIn,
    user: CurrentUser,
    orders: OrdersDep,
    settings: SettingsDep,
    request: Request,
    key: IdempotencyKey = None,
) -> Response:
    """Reserve a ticket until `expiresAt`."""
    keyed = await read_keyed_request(request, key, owner=user.id)
    window = timedelta(seconds=settings.expiration_window_seconds)
    place = partial(use_cases.place_order, orders, user.id, body.ticket_id, window, request=keyed)
    return created_response(await respond_once(keyed, place, orders.find_response))


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
    """Your orders, oldest first or newest first. The `Link` header leads to the next page."""
    found = await orders.page(user.id, limit + 1, cursor, newest_first=newest_first)
    return OrdersOut(orders=[OrderOut.of(order) for order in paginate(found, limit, request, response)])


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
    """The orders of the tickets that you sell, newest first, and the totals of all your sales.

    The `Link` header leads to the next page.
    """
    found = await orders.page_sales(user.id, status, limit + 1, cursor)
    return SalesOut.of(paginate(found, limit, request, response), await orders.sum_sales(user.id))


@router.get("/holds/{ticket_id}")
async def show_hold(ticket_id: str, orders: OrdersDep) -> HoldOut:
    """Whether a ticket is free, reserved or sold."""
    return HoldOut.of(await use_cases.get_hold(orders, ticket_id))


@router.get("/{order_id}")
async def show_order(order_id: str, user: CurrentUser, orders: OrdersDep) -> OrderOut:
    """One of your own orders."""
    return OrderOut.of(await use_cases.get_order(orders, order_id, user.id))


@router.delete("/{order_id}", status_code=204)
async def cancel_order(order_id: str, user: CurrentUser, orders: OrdersDep) -> None:
    """Cancel your own order unless it is paid; the ticket is for sale again."""
    await use_cases.cancel_order(orders, order_id, user.id)


@router.post("/{order_id}/refund")
async def refund_order(order_id: str, user: CurrentUser, orders: OrdersDep) -> OrderOut:
    """As the ticket's seller, refund the whole price to the buyer; the ticket is for sale again."""
    return OrderOut.of(await use_cases.refund_order(orders, order_id, user.id))


@router.get("/{order_id}/refund", response_model_exclude_none=True)
async def show_refund(order_id: str, user: CurrentUser, orders: OrdersDep) -> RefundOut:
    """The outcome of a refund, for the ticket's seller and the buyer."""
    return RefundOut.of(await use_cases.find_refund(orders, order_id, user.id))
