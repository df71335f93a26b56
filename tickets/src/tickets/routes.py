"""The HTTP routes of the tickets service."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from ticketing_common.app import part
from ticketing_common.auth import CurrentUser, OptionalUser
from ticketing_common.money import to_cents
from ticketing_common.mongo import new_id
from ticketing_common.pages import Cursor, cut_page
from tickets.models import Ticket, edit
from tickets.repository import Tickets
from tickets.schemas import TicketIn, TicketOut

PREFIX = "/api/tickets"
router = APIRouter(prefix=PREFIX, tags=["tickets"])

TicketsDep = Annotated[Tickets, Depends(part("tickets"))]


@router.get("")
async def list_tickets(
    request: Request,
    response: Response,
    tickets: TicketsDep,
    user: OptionalUser,
    q: Annotated[str, Query(max_length=200, description="Words that the title must have, all of them")] = "",
    seller_id: Annotated[
        str | None, Query(alias="sellerId", max_length=24, description="One's own: sold and reserved too")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> list[TicketOut]:
    """The tickets for sale, newest first; a `Link` header leads to more."""
    own = user is not None and user.id == seller_id
    found = await tickets.page(query=q, seller_id=seller_id, with_held=own, limit=limit + 1, after=cursor)
    return [TicketOut.of(ticket) for ticket in cut_page(found, limit, request, response)]


@router.get("/{ticket_id}")
async def show_ticket(ticket_id: str, tickets: TicketsDep) -> TicketOut:
    """One ticket, whoever asks."""
    return TicketOut.of(await tickets.get(ticket_id))


@router.post("", status_code=201)
async def list_for_sale(body: TicketIn, user: CurrentUser, tickets: TicketsDep) -> TicketOut:
    """Offer a ticket."""
    ticket = Ticket(id=new_id(), title=body.title, price_cents=to_cents(body.price), user_id=user.id)
    await tickets.add(ticket)
    return TicketOut.of(ticket)


@router.put("/{ticket_id}")
async def edit_ticket(ticket_id: str, body: TicketIn, user: CurrentUser, tickets: TicketsDep) -> TicketOut:
    """Change title and price while nobody holds the ticket."""
    decision = partial(edit, user_id=user.id, title=body.title, price_cents=to_cents(body.price))
    return TicketOut.of(await tickets.change(ticket_id, decision))
