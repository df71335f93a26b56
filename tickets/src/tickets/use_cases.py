"""Listing a ticket and editing it."""

from functools import partial

from ticketing_common.storage.idempotency import KeyedRequest, request_fields
from ticketing_common.values.ids import new_id
from tickets.models import Ticket, edit
from tickets.repository import Tickets
from tickets.schemas import TicketOut


async def list_ticket(
    tickets: Tickets, seller_id: str, title: str, price_cents: int, request: KeyedRequest | None = None
) -> str:
    """List a ticket for sale. Returns the response body, which is stored with a keyed request.

    Raises IdempotencyKeyTaken.
    """
    ticket = Ticket(id=new_id(), title=title, price_cents=price_cents, user_id=seller_id)
    response_body = TicketOut.of(ticket).model_dump_json(by_alias=True)
    await tickets.add(ticket, **request_fields(request, response_body))
    return response_body


async def edit_ticket(
    tickets: Tickets, ticket_id: str, seller_id: str, title: str, price_cents: int
) -> Ticket:
    """Change the title and price of a ticket. Raises NotFound, NotYours and TicketReserved."""
    decide = partial(edit, user_id=seller_id, title=title, price_cents=price_cents)
    return await tickets.change(ticket_id, decide)
