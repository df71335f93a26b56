"""One's orders: paying, cancelling, the receipt."""

import asyncio

from fastapi import APIRouter, Request, Response

from client.market import Market, Refused
from client.schemas import Order, Refund, StripeConfig
from client.security import content_security_policy
from client.sentences import sentence
from client.views import page
from client.visitor import MarketDep, see_other
from ticketing_common.auth import CurrentUser
from ticketing_common.errors import MarketError, Unavailable

router = APIRouter(prefix="/orders")


@router.get("")
async def list_orders(
    request: Request, market: MarketDep, user: CurrentUser, cursor: str | None = None
) -> Response:
    try:
        found = await market.orders(cursor)
    except Refused:  # a cursor that is none
        return see_other("/orders")
    return page(request, "orders.html", user, found=found, is_first=cursor is None)


@router.get("/{order_id}")
async def show_order(order_id: str, request: Request, market: MarketDep, _: CurrentUser) -> Response:
    return await _show(order_id, request, market)


@router.post("/{order_id}")
async def cancel(order_id: str, request: Request, market: MarketDep, _: CurrentUser) -> Response:
    try:
        await market.cancel(order_id)
    except Refused as refused:
        return await _show(order_id, request, market, sentence(refused.details[0]), refused.status)
    return see_other(f"/orders/{order_id}")


async def _show(
    order_id: str, request: Request, market: Market, error: str | None = None, status: int = 200
) -> Response:
    order = await market.order(order_id)
    stripe, refund = await asyncio.gather(_stripe(market, order), _refund(market, order))
    csp = content_security_policy(stripe.stripe_js if stripe else None)
    return page(
        request,
        "order.html",
        market.user,
        status=status,
        headers={"Content-Security-Policy": csp},
        order=order,
        stripe=stripe,
        refund=refund,
        error=error,
    )


async def _stripe(market: Market, order: Order) -> StripeConfig | None:
    """What it takes to pay; None when there is nothing to pay, or nobody to take it just now."""
    try:
        return await market.stripe_config() if order.status == "created" else None
    except Unavailable:
        return None


async def _refund(market: Market, order: Order) -> Refund | None:
    try:
        return await market.refund_of(order.id) if order.status == "refunded" else None
    except MarketError:
        return None
