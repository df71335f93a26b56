"""The event handlers of the tickets service."""

from decimal import Decimal
from itertools import permutations

import pytest

from ticketing_common.values.clock import now
from ticketing_common.values.errors import NotFound
from ticketing_common.values.events import (
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderedTicket,
    OrderRefunded,
    PricedTicket,
)
from ticketing_common.values.ids import new_id
from tickets.handlers import HANDLERS
from tickets.models import Ticket

BUYER = new_id()


def order_events(ticket_id, n=1):
    """The events of one order: created, completed, refunded; and cancelled instead of completed."""
    order_id = new_id()
    ordered = OrderedTicket(id=ticket_id, n=n)
    created = OrderCreated(
        id=order_id,
        version=0,
        status="created",
        user_id=BUYER,
        expires_at=now(),
        ticket=PricedTicket(id=ticket_id, n=n, price=Decimal(10)),
    )
    completed = OrderCompleted(id=order_id, version=1, user_id=BUYER, ticket=ordered)
    refunded = OrderRefunded(id=order_id, version=2, user_id=BUYER, ticket=ordered)
    cancelled = OrderCancelled(id=order_id, version=1, reason="user", ticket=ordered)
    return created, completed, refunded, cancelled


async def handle(tickets, *events):
    for event in events:
        await HANDLERS[type(event)](event, tickets)


@pytest.fixture
async def ticket(tickets):
    ticket = Ticket(id=new_id(), title="Opera", price_cents=1000, user_id=new_id())
    await tickets.add(ticket)
    return ticket


async def test_new_order_reserves_the_ticket(tickets, ticket):
    created, *_ = order_events(ticket.id)
    await handle(tickets, created)
    reserved = await tickets.get(ticket.id)
    assert (reserved.order_id, reserved.version) == (created.id, 1)


async def test_completed_order_keeps_its_ticket_without_a_new_version(tickets, ticket):
    created, completed, *_ = order_events(ticket.id)
    await handle(tickets, created, completed)
    sold = await tickets.get(ticket.id)
    assert (sold.order_id, sold.version) == (created.id, 1)


@pytest.mark.parametrize("end", [2, 3], ids=["refunded", "cancelled"])
async def test_ended_order_frees_its_ticket(tickets, ticket, end):
    events = order_events(ticket.id)
    await handle(tickets, events[0], events[end])
    freed = await tickets.get(ticket.id)
    assert (freed.order_id, freed.version) == (None, 2)


async def test_duplicate_events_change_nothing(tickets, ticket):
    created, _, _, cancelled = order_events(ticket.id)
    await handle(tickets, created, created, cancelled, cancelled, created)
    assert (await tickets.get(ticket.id)).version == 2


async def test_event_of_an_earlier_order_changes_nothing(tickets, ticket):
    first, _, _, first_cancelled = order_events(ticket.id, n=1)
    second, *_ = order_events(ticket.id, n=2)
    await handle(tickets, second, first, first_cancelled)
    assert (await tickets.get(ticket.id)).order_id == second.id


async def test_event_before_its_predecessor_is_applied(tickets, ticket):
    created, _, _, cancelled = order_events(ticket.id)
    await handle(tickets, cancelled, created)
    assert (await tickets.get(ticket.id)).order_id is None


@pytest.mark.parametrize("indexes", [(0, 1, 2), (0, 3)], ids=["refunded", "cancelled"])
async def test_events_of_one_order_free_the_ticket_in_every_order_of_arrival(tickets, indexes):
    for order in permutations(indexes):
        ticket = Ticket(id=new_id(), title="Opera", price_cents=1000, user_id=new_id())
        await tickets.add(ticket)
        events = order_events(ticket.id)
        await handle(tickets, *(events[i] for i in order))
        end = await tickets.get(ticket.id)
        assert (end.order_id, end.order_n) == (None, 1), order


async def test_event_of_an_unknown_ticket_raises_an_error(tickets):
    created, *_ = order_events(new_id())
    with pytest.raises(NotFound):
        await handle(tickets, created)
