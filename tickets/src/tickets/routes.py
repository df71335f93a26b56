"""The HTTP routes of the tickets service."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response

from ticketing_common.app import api_router, part
from ticketing_common.auth import CurrentUser, user_of
from ticketing_common.idempotency import (
    REPEATABLE,
    IdempotencyKey,
    answer_once,
    created,
    derive_request,
    keyed_request,
)
from ticketing_common.money import to_cents
from ticketing_common.mongo import new_id
from ticketing_common.pages import Cursor, cut_page
from ticketing_common.sse import EventStream
from tickets.feed import Feed
from tickets.models import Ticket, edit
from tickets.repository import Tickets
from tickets.schemas import TicketIn, TicketOut, as_json

PREFIX = "/api/tickets"
router = api_router(PREFIX, "tickets")

TicketsDep = Annotated[Tickets, Depends(part("tickets"))]
FeedDep = Annotated[Feed, Depends(part("feed"))]
DrainingDep = Annotated[asyncio.Event, Depends(part("draining"))]


# The reads, which most requests are, ask for no dependencies: one that FastAPI solves costs as much as
# the loading of ten tickets.
def tickets_of(request: Request) -> Tickets:
    tickets: Tickets = request.app.state.tickets
    return tickets


def tell_position(request: Request, response: Response) -> None:
    """Says from where the events lead on. Noted before the database is asked, so that none falls between."""
    feed: Feed = request.app.state.feed
    if feed.position is not None:
        response.headers["Last-Event-ID"] = str(feed.position)


POSITION: Any = {
    200: {
        "headers": {
            "Last-Event-ID": {
                "description": "With it, the events lead on from this answer without a gap",
                "schema": {"type": "string"},
            }
        }
    }
}


@router.get("", response_model=list[TicketOut], responses=POSITION)
async def list_tickets(
    request: Request,
    response: Response,
    q: Annotated[str, Query(max_length=200, description="Words that the title must have, all of them")] = "",
    seller_id: Annotated[
        str | None, Query(alias="sellerId", max_length=24, description="One's own: sold and reserved too")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> Response:
    """The tickets for sale, newest first; a `Link` header leads to more."""
    tell_position(request, response)
    user = user_of(request) if seller_id else None
    own = user is not None and user.id == seller_id
    found = await tickets_of(request).page(
        query=q, seller_id=seller_id, with_held=own, limit=limit + 1, after=cursor
    )
    page = cut_page(found, limit, request, response)
    return Response(as_json(page), headers=dict(response.headers), media_type="application/json")


# Not response_class=EventStream: FastAPI would then document the errors as event streams, too.
@router.get("/events", response_class=Response, responses={200: {"content": {EventStream.media_type: {}}}})
async def follow_tickets(
    feed: FeedDep,
    draining: DrainingDep,
    last_event_id: Annotated[
        str | None, Header(description="The event seen last; an unknown one: live")
    ] = None,
    last_known: Annotated[
        str | None, Query(alias="lastEventId", description="The same, for a page that opens its first stream")
    ] = None,
) -> EventStream:
    """Each `ticket.created` and `ticket.updated` as it happens, as Server-Sent Events.

    `data` is the ticket as it has become. One that is seen twice has the same version.
    """
    return EventStream(feed.listen(last_event_id or last_known), draining)


@router.get("/{ticket_id}", responses=POSITION)
async def show_ticket(ticket_id: str, request: Request, response: Response) -> TicketOut:
    """One ticket, whoever asks."""
    tell_position(request, response)
    return TicketOut.of(await tickets_of(request).get(ticket_id))


@router.post("", status_code=201, response_model=TicketOut, responses=REPEATABLE)
async def list_for_sale(
    body: TicketIn, user: CurrentUser, tickets: TicketsDep, request: Request, key: IdempotencyKey = None
) -> Response:
    """Offer a ticket."""
    keyed = await keyed_request(request, key, owner=user.id)

    async def offer() -> str:
        ticket = Ticket(id=new_id(), title=body.title, price_cents=to_cents(body.price), user_id=user.id)
        answer = TicketOut.of(ticket).model_dump_json(by_alias=True)
        await tickets.add(ticket, **derive_request(keyed, answer))
        return answer

    return created(await answer_once(keyed, offer, tickets.find_answer))


@router.put("/{ticket_id}")
async def edit_ticket(ticket_id: str, body: TicketIn, user: CurrentUser, tickets: TicketsDep) -> TicketOut:
    """Change title and price while nobody holds the ticket."""
    decision = partial(edit, user_id=user.id, title=body.title, price_cents=to_cents(body.price))
    return TicketOut.of(await tickets.change(ticket_id, decision))
