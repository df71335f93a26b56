"""Browsing, buying and selling."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response

from client.gateway import Gateway, RequestRejected
from client.messages import OUTCOME_UNKNOWN, TICKET_RESERVED, UNCLEAR_PRICE, message_for, messages_by_field
from client.models import parse_price
from client.routes.dependencies import GatewayDep
from client.schemas import ResultPage, Ticket
from client.use_cases import buy_ticket, view_ticket
from client.views import form_key_or_new, render_page, see_other, sign_in_path
from ticketing_common.http.sessions import CurrentUser
from ticketing_common.values.errors import NotYours, Unavailable

router = APIRouter()

FormText = Annotated[str, Form()]


@router.get("/")
async def list_tickets(
    request: Request, gateway: GatewayDep, q: str = "", cursor: str | None = None
) -> Response:
    """The tickets for sale. If the tickets service is unavailable, the page retries by script."""
    query = q.strip()[:200]
    found: ResultPage[Ticket] | None
    try:
        found = await gateway.search_tickets(query, cursor)
    except RequestRejected:  # an invalid cursor
        return see_other("/")
    except Unavailable:
        found = None
    next_cursor = found and found.next_cursor
    return render_page(
        request,
        "tickets.html",
        gateway.user,
        status=200 if found else 503,
        found=found,
        query=query,
        next_href=next_cursor and "/?" + urlencode({"q": query, "cursor": next_cursor}),
        is_first=cursor is None,
    )


@router.get("/tickets/new")
async def show_new_form(
    request: Request, gateway: GatewayDep, _: CurrentUser, title: str = "", price: str = ""
) -> Response:
    return _render_form(request, gateway, None, title, price)


@router.post("/tickets/new")
async def list_ticket(
    request: Request, gateway: GatewayDep, title: FormText = "", price: FormText = "", form_key: FormText = ""
) -> Response:
    if gateway.user is None:  # the form is filled in again after sign-in
        return see_other(sign_in_path("/tickets/new?" + urlencode({"title": title, "price": price})))
    return await _save(request, gateway, None, title, price, form_key_or_new(form_key))


@router.get("/tickets/{ticket_id}")
async def show_ticket(ticket_id: str, request: Request, gateway: GatewayDep) -> Response:
    return await _show_page(ticket_id, request, gateway)


@router.post("/tickets/{ticket_id}")
async def buy(
    ticket_id: str, request: Request, gateway: GatewayDep, _: CurrentUser, form_key: FormText = ""
) -> Response:
    key = form_key_or_new(form_key)
    try:
        order = await buy_ticket(gateway, ticket_id, key)
    except RequestRejected as rejected:
        error = message_for(rejected.details[0])
        return await _show_page(ticket_id, request, gateway, error, rejected.status)
    except Unavailable:
        return await _show_page(ticket_id, request, gateway, OUTCOME_UNKNOWN, 503, form_key=key)
    return see_other(f"/orders/{order.id}")


@router.get("/tickets/{ticket_id}/edit")
async def show_edit_form(
    ticket_id: str, request: Request, gateway: GatewayDep, user: CurrentUser
) -> Response:
    ticket, _ = await gateway.get_ticket(ticket_id)
    if ticket.user_id != user.id:
        raise NotYours
    errors = {"": TICKET_RESERVED} if ticket.order_id else {}
    return _render_form(request, gateway, ticket.id, ticket.title, f"{ticket.price:.2f}", errors)


@router.post("/tickets/{ticket_id}/edit")
async def edit_ticket(
    ticket_id: str,
    request: Request,
    gateway: GatewayDep,
    _: CurrentUser,
    title: FormText = "",
    price: FormText = "",
    form_key: FormText = "",
) -> Response:
    return await _save(request, gateway, ticket_id, title, price, form_key_or_new(form_key))


async def _save(
    request: Request, gateway: Gateway, ticket_id: str | None, title: str, price: str, key: str
) -> Response:
    """Edits the ticket with this id; lists a new one if there is no id.

    If that fails, shows the form again with the visitor's input and the errors.
    """
    amount = parse_price(price)
    if amount is None:
        errors = {"price": UNCLEAR_PRICE}
        return _render_form(request, gateway, ticket_id, title, price, errors, 400)
    try:
        if ticket_id is None:
            ticket = await gateway.list_ticket(title, float(amount), key)
            return see_other(f"/tickets/{ticket.id}?said=listed")
        await gateway.edit_ticket(ticket_id, title, float(amount))
        return see_other(f"/tickets/{ticket_id}?said=edited")
    except RequestRejected as rejected:
        errors = messages_by_field(rejected.details)
        return _render_form(request, gateway, ticket_id, title, price, errors, rejected.status)
    except Unavailable:
        errors = {"": OUTCOME_UNKNOWN}
        return _render_form(request, gateway, ticket_id, title, price, errors, 503, form_key=key)


def _render_form(
    request: Request,
    gateway: Gateway,
    ticket_id: str | None,
    title: str,
    price: str,
    errors: dict[str, str] | None = None,
    status: int = 200,
    form_key: str | None = None,
) -> Response:
    return render_page(
        request,
        "ticket_form.html",
        gateway.user,
        status=status,
        form_key=form_key,
        ticket_id=ticket_id,
        title=title,
        price=price,
        errors=errors or {},
    )


async def _show_page(
    ticket_id: str,
    request: Request,
    gateway: Gateway,
    error: str | None = None,
    status: int = 200,
    form_key: str | None = None,
) -> Response:
    view = await view_ticket(gateway, ticket_id)
    return render_page(
        request,
        "ticket.html",
        gateway.user,
        status=status,
        form_key=form_key,
        ticket=view.ticket,
        position=view.stream_position,
        state=view.state,
        until=view.reserved_until,
        own_order=view.own_order,
        error=error,
    )
