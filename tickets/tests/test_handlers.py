"""What the tickets service makes of the orders' events."""

from decimal import Decimal
from itertools import permutations

import pytest

from ticketing_common.clock import now
from ticketing_common.events import (
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderedTicket,
    OrderRefunded,
    PricedTicket,
)
from ticketing_common.mongo import new_id
from tickets.handlers import HANDLERS
from tickets.models import NoSuchTicket, Ticket

BUYER = new_id()


def order_events(ticket_id, n=1):
    """One order's life, in order: created, completed, refunded; and its other end, cancelled."""
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


async def test_a_new_order_holds_the_ticket(tickets, ticket):
    created, *_ = order_events(ticket.id)
    await handle(tickets, created)
    held = await tickets.get(ticket.id)
    assert (held.order_id, held.version) == (created.id, 1)


async def test_a_completed_order_keeps_it_without_another_version(tickets, ticket):
    created, completed, *_ = order_events(ticket.id)
    await handle(tickets, created, completed)
    sold = await tickets.get(ticket.id)
    assert (sold.order_id, sold.version) == (created.id, 1)


@pytest.mark.parametrize("end", [2, 3], ids=["refunded", "cancelled"])
async def test_an_ended_order_frees_it(tickets, ticket, end):
    events = order_events(ticket.id)
    await handle(tickets, events[0], events[end])
    freed = await tickets.get(ticket.id)
    assert (freed.order_id, freed.version) == (None, 2)


async def test_every_event_may_come_twice(tickets, ticket):
    created, _, _, cancelled = order_events(ticket.id)
    await handle(tickets, created, created, cancelled, cancelled, created)
    assert (await tickets.get(ticket.id)).version == 2


async def test_a_stale_order_changes_nothing(tickets, ticket):
    first, _, _, first_cancelled = order_events(ticket.id, n=1)
    second, *_ = order_events(ticket.id, n=2)
    await handle(tickets, second, first, first_cancelled)
    assert (await tickets.get(ticket.id)).order_id == second.id


async def test_an_early_event_needs_no_earlier_one(tickets, ticket):
    created, _, _, cancelled = order_events(ticket.id)
    await handle(tickets, cancelled, created)
    assert (await tickets.get(ticket.id)).order_id is None


@pytest.mark.parametrize("life", [(0, 1, 2), (0, 3)], ids=["refunded", "cancelled"])
async def test_all_orderings_of_one_orders_events_end_alike(tickets, life):
    for order in permutations(life):
        ticket = Ticket(id=new_id(), title="Opera", price_cents=1000, user_id=new_id())
        await tickets.add(ticket)
        events = order_events(ticket.id)
        await handle(tickets, *(events[i] for i in order))
        end = await tickets.get(ticket.id)
        assert (end.order_id, end.order_n) == (None, 1), order


async def test_an_order_of_a_ticket_we_never_had_is_no_silent_loss(tickets):
    created, *_ = order_events(new_id())
    with pytest.raises(NoSuchTicket):
        await handle(tickets, created)
