"""What one sells: offered, reserved, sold, refunded, and earned."""

import asyncio
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response

from client.market import Market, Refused
from client.schemas import Page, Sales, Ticket
from client.sentences import sentence
from client.views import page
from client.visitor import MarketDep, see_other
from ticketing_common.auth import CurrentUser
from ticketing_common.errors import Unavailable

router = APIRouter(prefix="/sales")

Show = Literal["for-sale", "reserved", "sold", "refunded"]

_STATUS = {"for-sale": "complete", "reserved": "created", "sold": "complete", "refunded": "refunded"}
"""What orders are asked for; beside the tickets for sale only their sums are shown."""


@router.get("")
async def show_sales(
    request: Request,
    market: MarketDep,
    _: CurrentUser,
    show: Show = "for-sale",
    cursor: str | None = None,
) -> Response:
    return await _page(request, market, show, cursor)


@router.post("")
async def refund(
    request: Request, market: MarketDep, _: CurrentUser, order_id: Annotated[str, Form()] = ""
) -> Response:
    try:
        await market.give_back(order_id)
    except Refused as refused:
        return await _page(request, market, "sold", None, sentence(refused.details[0]), refused.status)
    return see_other("/sales?show=refunded&said=refunded")


async def _page(
    request: Request,
    market: Market,
    show: Show,
    cursor: str | None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    """Each part is shown as far as its service answers."""
    try:
        tickets, (sales, following) = await asyncio.gather(
            _for_sale(market, show, cursor), _sales(market, show, cursor)
        )
    except Refused:  # a cursor that is none
        return see_other("/sales")
    rest = tickets.next_cursor if tickets else following if show != "for-sale" else None
    return page(
        request,
        "sales.html",
        market.user,
        status=status,
        show=show,
        tickets=tickets,
        sales=sales,
        more=rest and "/sales?" + urlencode({"show": show, "cursor": rest}),
        error=error,
    )


async def _for_sale(market: Market, show: Show, cursor: str | None) -> Page[Ticket] | None:
    try:
        return await market.own_for_sale(cursor) if show == "for-sale" else None
    except Unavailable:
        return None


async def _sales(market: Market, show: Show, cursor: str | None) -> tuple[Sales | None, str | None]:
    try:
        return await market.sales(_STATUS[show], None if show == "for-sale" else cursor)
    except Unavailable:
        return None, None
