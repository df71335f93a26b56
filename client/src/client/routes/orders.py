"""The visitor's orders: payment, cancellation, receipt."""

from fastapi import APIRouter, Request, Response

from client.gateway import Gateway, RequestRejected
from client.messages import message_for
from client.routes.dependencies import GatewayDep
from client.security import content_security_policy
from client.use_cases import view_order
from client.views import render_page, see_other
from ticketing_common.http.sessions import CurrentUser

router = APIRouter(prefix="/orders")


@router.get("")
async def list_orders(
    request: Request, gateway: GatewayDep, user: CurrentUser, cursor: str | None = None
) -> Response:
    try:
        found = await gateway.find_orders(cursor)
    except RequestRejected:  # an invalid cursor
        return see_other("/orders")
    return render_page(request, "orders.html", user, found=found, is_first=cursor is None)


@router.get("/{order_id}")
async def show_order(order_id: str, request: Request, gateway: GatewayDep, _: CurrentUser) -> Response:
    return await _show_page(order_id, request, gateway)


@router.post("/{order_id}")
async def cancel_order(order_id: str, request: Request, gateway: GatewayDep, _: CurrentUser) -> Response:
    try:
        await gateway.cancel_order(order_id)
    except RequestRejected as rejected:
        error = message_for(rejected.details[0])
        return await _show_page(order_id, request, gateway, error, rejected.status)
    return see_other(f"/orders/{order_id}")


async def _show_page(
    order_id: str, request: Request, gateway: Gateway, error: str | None = None, status: int = 200
) -> Response:
    view = await view_order(gateway, order_id)
    csp = content_security_policy(view.stripe.stripe_js if view.stripe else None)
    return render_page(
        request,
        "order.html",
        gateway.user,
        status=status,
        headers={"Content-Security-Policy": csp},
        order=view.order,
        stripe=view.stripe,
        refund=view.refund,
        error=error,
    )
