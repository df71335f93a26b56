"""Rebuilding a ticket from its events, including the number of its order, in any order of arrival."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ticketing_common.values.aggregate import EarlierEventMissing
from ticketing_common.values.events import OrderCreated, PricedTicket, TicketCreated, TicketUpdated
from ticketing_common.values.ids import new_id
from ticketing_operations.rebuild.tickets import RebuiltTickets, on_order_created, on_ticket_changed
from tickets.models import Ticket


async def test_event_before_its_predecessor_is_rejected_and_applied_later(database):
    tickets = RebuiltTickets(database)
    ticket_id, order_id = new_id(), new_id()
    facts = {"id": ticket_id, "title": "Opéra now", "price": Decimal("8.50"), "user_id": "seller"}
    edited = TicketUpdated(version=1, **facts)
    reserved = TicketUpdated(version=2, order_id=order_id, **facts)
    ordered = PricedTicket(id=ticket_id, n=3, price=Decimal("8.50"))
    at = datetime.now(UTC)
    await on_order_created(
        OrderCreated(id=order_id, version=0, status="created", user_id="u", expires_at=at, ticket=ordered),
        tickets,
    )
    await on_ticket_changed(TicketCreated(version=0, **facts | {"title": "Opera"}), tickets)
    with pytest.raises(EarlierEventMissing):
        await on_ticket_changed(reserved, tickets)
    for event in (edited, reserved, edited):
        await on_ticket_changed(event, tickets)
    assert await tickets.documents.find(id=ticket_id) == Ticket(
        id=ticket_id,
        version=2,
        title="Opéra now",
        price_cents=850,
        user_id="seller",
        order_id=order_id,
        order_n=3,
    )
    assert (await database["tickets"].find_one({}))["words"] == ["now", "opéra"]
