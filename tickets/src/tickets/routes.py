"""The HTTP routes of the tickets service."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response

from ticketing_common.http.app import api_router, app_state
from ticketing_common.http.idempotency import (
    IDEMPOTENT_RESPONSES,
    IdempotencyKey,
    created_response,
    read_keyed_request,
    respond_once,
)
from ticketing_common.http.pagination import Cursor, paginate
from ticketing_common.http.sessions import CurrentUser, session_user
from ticketing_common.values.money import to_cents
from tickets import use_cases
from tickets.feed import Feed
from tickets.repository import Tickets
from tickets.schemas import TicketIn, TicketOut, as_json
from tickets.sse import EventStream

router = api_router("/api/tickets", "tickets")

TicketsDep = Annotated[Tickets, Depends(app_state("tickets"))]
FeedDep = Annotated[Feed, Depends(app_state("feed"))]
DrainingDep = Annotated[asyncio.Event, Depends(app_state("draining"))]


# The two GET routes receive most requests, so they avoid dependencies: FastAPI needs as long to solve one as
# to load ten tickets.
def get_tickets(request: Request) -> Tickets:
    tickets: Tickets = request.app.state.tickets
    return tickets


def add_feed_position(request: Request, response: Response) -> None:
    """Set the header Last-Event-ID. Called before the query, so that no event between the two is lost."""
    feed: Feed = request.app.state.feed
    if feed.position is not None:
        response.headers["Last-Event-ID"] = str(feed.position)


FEED_POSITION: Any = {
    200: {
        "headers": {
            "Last-Event-ID": {
                "description": "The event stream continues from this response without a gap if given this id",
                "schema": {"type": "string"},
            }
        }
    }
}


@router.get("", response_model=list[TicketOut], responses=FEED_POSITION)
async def list_tickets(
    request: Request,
    response: Response,
    q: Annotated[str, Query(max_length=200, description="Words, all of which the title must have")] = "",
    seller_id: Annotated[
        str | None, Query(alias="sellerId", max_length=24, description="Your own id: sold and reserved too")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> Response:
    """The tickets for sale, newest first. The `Link` header leads to the next page."""
    add_feed_position(request, response)
    user = session_user(request) if seller_id else None
    is_own = user is not None and user.id == seller_id
    found = await get_tickets(request).page(
        query=q, seller_id=seller_id, include_reserved=is_own, limit=limit + 1, after=cursor
    )
    page = paginate(found, limit, request, response)
    return Response(as_json(page), headers=dict(response.headers), media_type="application/json")


# Not response_class=EventStream: FastAPI would then document the errors as event streams, too.
@router.get("/events", response_class=Response, responses={200: {"content": {EventStream.media_type: {}}}})
async def follow_tickets(
    feed: FeedDep,
    draining: DrainingDep,
    last_event_id: Annotated[
        str | None, Header(description="The last event received; an unknown id starts live")
    ] = None,
    last_known: Annotated[
        str | None, Query(alias="lastEventId", description="The same, for the first stream of a page")
    ] = None,
) -> EventStream:
    """Each `ticket.created` and `ticket.updated` as it happens, as Server-Sent Events.

    `data` is the ticket after the change. A repeated event has the same version.
    """
    return EventStream(feed.subscribe(last_event_id or last_known), draining)


@router.get("/{ticket_id}", responses=FEED_POSITION)
async def show_ticket(ticket_id: str, request: Request, response: Response) -> TicketOut:
    """A ticket."""
    add_feed_position(request, response)
    return TicketOut.of(await get_tickets(request).get(ticket_id))


@router.post("", status_code=201, response_model=TicketOut, responses=IDEMPOTENT_RESPONSES)
async def list_for_sale(
    body: TicketIn, user: CurrentUser, tickets: TicketsDep, request: Request, key: IdempotencyKey = None
) -> Response:
    """List a ticket for sale."""
    keyed = await read_keyed_request(request, key, owner=user.id)
    list_ticket = partial(
        use_cases.list_ticket, tickets, user.id, body.title, to_cents(body.price), request=keyed
    )
    return created_response(await respond_once(keyed, list_ticket, tickets.find_response))


@router.put("/{ticket_id}")
async def edit_ticket(ticket_id: str, body: TicketIn, user: CurrentUser, tickets: TicketsDep) -> TicketOut:
    """Change the title and price of your own ticket while it is not reserved."""
    ticket = await use_cases.edit_ticket(tickets, ticket_id, user.id, body.title, to_cents(body.price))
    return TicketOut.of(ticket)
