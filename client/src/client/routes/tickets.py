"""Browsing, buying and selling."""

import asyncio
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response

from client.market import Market, Refused
from client.models import parse_price
from client.schemas import Hold, Order, Page, Ticket
from client.sentences import RESERVED, TRY_AGAIN, sentence
from client.views import form_key_of, page, sign_in_path
from client.visitor import MarketDep, see_other
from ticketing_common.auth import CurrentUser
from ticketing_common.errors import MarketError, NotYours, Unavailable

router = APIRouter()

Field = Annotated[str, Form()]

_UNCLEAR_PRICE = "Enter the price as a number of dollars, such as 19.99."


@router.get("/")
async def browse(request: Request, market: MarketDep, q: str = "", cursor: str | None = None) -> Response:
    """The tickets for sale. While their service is down the page tries again by itself."""
    query = q.strip()[:200]
    found: Page[Ticket] | None
    try:
        found = await market.for_sale(query, cursor)
    except Refused:  # a cursor that is none
        return see_other("/")
    except Unavailable:
        found = None
    more = found and found.next_cursor and "/?" + urlencode({"q": query, "cursor": found.next_cursor})
    return page(
        request,
        "tickets.html",
        market.user,
        status=200 if found else 503,
        found=found,
        query=query,
        more=more,
        is_first=cursor is None,
    )


@router.get("/tickets/new")
async def new_ticket(
    request: Request, market: MarketDep, _: CurrentUser, title: str = "", price: str = ""
) -> Response:
    return page(request, "ticket_form.html", market.user, ticket_id=None, title=title, price=price, errors={})


@router.post("/tickets/new")
async def list_ticket(
    request: Request, market: MarketDep, title: Field = "", price: Field = "", form_key: Field = ""
) -> Response:
    if market.user is None:  # what was typed waits behind the sign-in page
        return see_other(sign_in_path("/tickets/new?" + urlencode({"title": title, "price": price})))
    return await _save(request, market, None, title, price, form_key_of(form_key))


@router.get("/tickets/{ticket_id}")
async def show_ticket(ticket_id: str, request: Request, market: MarketDep) -> Response:
    return await _show(ticket_id, request, market)


@router.post("/tickets/{ticket_id}")
async def buy(
    ticket_id: str, request: Request, market: MarketDep, _: CurrentUser, form_key: Field = ""
) -> Response:
    key = form_key_of(form_key)
    try:
        order = await market.buy(ticket_id, key)
    except Refused as refused:
        return await _show(ticket_id, request, market, sentence(refused.details[0]), refused.status)
    except Unavailable:
        return await _show(ticket_id, request, market, TRY_AGAIN, 503, form_key=key)
    return see_other(f"/orders/{order.id}")


@router.get("/tickets/{ticket_id}/edit")
async def edit_form(ticket_id: str, request: Request, market: MarketDep, user: CurrentUser) -> Response:
    ticket = (await market.ticket(ticket_id)).items[0]
    if ticket.user_id != user.id:
        raise NotYours
    return page(
        request,
        "ticket_form.html",
        user,
        ticket_id=ticket.id,
        title=ticket.title,
        price=f"{ticket.price:.2f}",
        errors={"": RESERVED} if ticket.order_id else {},
    )


@router.post("/tickets/{ticket_id}/edit")
async def edit(
    ticket_id: str,
    request: Request,
    market: MarketDep,
    _: CurrentUser,
    title: Field = "",
    price: Field = "",
    form_key: Field = "",
) -> Response:
    return await _save(request, market, ticket_id, title, price, form_key_of(form_key))


async def _save(
    request: Request, market: Market, ticket_id: str | None, title: str, price: str, key: str
) -> Response:
    """List a ticket, or edit the one with this id; else the form again, as typed, with what is wrong."""
    errors: dict[str, str]
    amount = parse_price(price)
    try:
        if amount is None:
            errors, status = {"price": _UNCLEAR_PRICE}, 400
        elif ticket_id is None:
            ticket = await market.list_ticket(title, float(amount), key)
            return see_other(f"/tickets/{ticket.id}?said=listed")
        else:
            await market.edit_ticket(ticket_id, title, float(amount))
            return see_other(f"/tickets/{ticket_id}?said=edited")
    except Refused as refused:
        errors, status = {d.field or "": sentence(d) for d in refused.details}, refused.status
    except Unavailable:
        errors, status = {"": TRY_AGAIN}, 503
    return page(
        request,
        "ticket_form.html",
        market.user,
        status=status,
        form_key=key if status == 503 else None,
        ticket_id=ticket_id,
        title=title,
        price=price,
        errors=errors,
    )


async def _show(
    ticket_id: str,
    request: Request,
    market: Market,
    error: str | None = None,
    status: int = 200,
    form_key: str | None = None,
) -> Response:
    found = await market.ticket(ticket_id)
    ticket = found.items[0]
    hold: Hold | None = None
    own_order: Order | None = None
    if ticket.order_id:
        hold, own_order = await asyncio.gather(_hold(market, ticket.id), _own(market, ticket.order_id))
    return page(
        request,
        "ticket.html",
        market.user,
        status=status,
        form_key=form_key,
        ticket=ticket,
        position=found.position,
        state="free" if not ticket.order_id else "sold" if hold and hold.status == "sold" else "reserved",
        until=hold and hold.until,
        own_order=own_order,
        error=error,
    )


async def _hold(market: Market, ticket_id: str) -> Hold | None:
    try:
        return await market.hold(ticket_id)
    except MarketError:  # the page can do without
        return None


async def _own(market: Market, order_id: str) -> Order | None:
    """The order that holds the ticket, if it is the visitor's."""
    try:
        return await market.order(order_id) if market.user else None
    except MarketError:
        return None
