"""The visitor's tickets for sale, reserved, sold and refunded, and the earnings."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response

from client.gateway import Gateway, RequestRejected
from client.messages import message_for
from client.routes.dependencies import GatewayDep
from client.use_cases import SalesTab, view_sales
from client.views import render_page, see_other
from ticketing_common.http.sessions import CurrentUser

router = APIRouter(prefix="/sales")


@router.get("")
async def show_sales(
    request: Request,
    gateway: GatewayDep,
    _: CurrentUser,
    show: SalesTab = "for-sale",
    cursor: str | None = None,
) -> Response:
    return await _show_page(request, gateway, show, cursor)


@router.post("")
async def refund_order(
    request: Request, gateway: GatewayDep, _: CurrentUser, order_id: Annotated[str, Form()] = ""
) -> Response:
    try:
        await gateway.refund_order(order_id)
    except RequestRejected as rejected:
        error = message_for(rejected.details[0])
        return await _show_page(request, gateway, "sold", None, error, rejected.status)
    return see_other("/sales?show=refunded&said=refunded")


async def _show_page(
    request: Request,
    gateway: Gateway,
    tab: SalesTab,
    cursor: str | None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    try:
        view = await view_sales(gateway, tab, cursor)
    except RequestRejected:  # an invalid cursor
        return see_other("/sales")
    return render_page(
        request,
        "sales.html",
        gateway.user,
        status=status,
        show=tab,
        tickets=view.tickets,
        sales=view.sales,
        next_href=view.next_cursor and "/sales?" + urlencode({"show": tab, "cursor": view.next_cursor}),
        error=error,
    )
