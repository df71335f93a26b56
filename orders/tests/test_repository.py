"""The queries of the orders service, held against the real planner."""

from datetime import timedelta
from functools import partial

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from orders.models import NoSuchTicket, Takings, Ticket, TicketReserved, cancel, complete, place
from ticketing_common.clock import now
from ticketing_common.errors import Unavailable
from ticketing_common.events import TicketCreated
from ticketing_common.mongo import new_id


async def placed(orders, *, ticket_id=None, user_id="buyer", seller_id="seller", untouched=False):
    ticket = Ticket(id=ticket_id or new_id(), title="Opera", price_cents=1999, seller_id=seller_id)
    return await orders.claim(
        ticket.id,
        lambda last: place(new_id(), user_id, ticket, last, now(), timedelta(minutes=15)),
        untouched=untouched,
    )


async def test_every_query_reads_an_index_and_sorts_nothing(orders, database):
    for _ in range(20):  # in between lie those that no query asks for: a scan would meet them
        order = await placed(orders)
        await placed(orders, user_id="another", seller_id="another")
        await orders.change((await placed(orders, user_id="another")).id, complete)
    await database.command("profile", 2)
    assert len(await orders.page("buyer", 10, None)) == 10
    assert len(await orders.page("buyer", 10, new_id(), newest_first=True)) == 10
    assert len(await orders.sales("seller", "created", 10, None)) == 10
    assert len(await orders.sales("seller", "created", 10, new_id())) == 10
    with pytest.raises(TicketReserved):
        await placed(orders, ticket_id=order.ticket.id)
    await database.command("profile", 0)
    queries = await database["system.profile"].find({"op": "query"}).to_list(10)
    assert len(queries) == 5
    for query in queries:
        assert "IXSCAN" in query["planSummary"]
        assert not query.get("hasSortStage")
        assert query["docsExamined"] <= 10


async def test_of_an_untouched_ticket_the_last_order_is_looked_for_only_if_it_has_one(orders, database):
    await database.command("profile", 2)
    order = await placed(orders, untouched=True)
    await database.command("profile", 0)
    assert await database["system.profile"].count_documents({"op": "query"}) == 0
    with pytest.raises(TicketReserved):
        await placed(orders, ticket_id=order.ticket.id, untouched=True)
    await orders.change(order.id, partial(cancel, reason="user"))
    again = await placed(orders, ticket_id=order.ticket.id, untouched=True)
    assert again.ticket.n == 2


async def test_takings_are_summed_from_the_index_alone(orders, database):
    for paid in range(20):
        await placed(orders, seller_id="another")
        order = await placed(orders)
        if paid < 5:
            await orders.change(order.id, complete)
    await database.command("profile", 2)
    assert await orders.takings("seller") == Takings(reserved=15, sold=5, earnings_cents=5 * 1999)
    await database.command("profile", 0)
    (query,) = await database["system.profile"].find({"command.aggregate": "orders"}).to_list(2)
    assert "IXSCAN" in query["planSummary"]
    assert query["docsExamined"] == 0
    assert query["keysExamined"] <= 25


async def listens(bus):
    """Make the consumer that bears the bus's name."""
    follows = ConsumerConfig(durable_name="test", ack_policy=AckPolicy.EXPLICIT, filter_subject="ticket.*")
    await bus.js.add_consumer("TICKETING", follows)


async def test_only_a_young_id_is_waited_for(orders, bus):
    await listens(bus)
    begun = now()
    with pytest.raises(NoSuchTicket):
        await orders.ticket("0" * 24)
    assert now() - begun < timedelta(seconds=1)
    with pytest.raises(NoSuchTicket):
        await orders.ticket(new_id())
    assert now() - begun > timedelta(seconds=2)


async def test_a_young_id_is_not_called_unknown_while_events_wait_for_us(orders, bus):
    await listens(bus)
    facts = {"id": new_id(), "version": 0, "title": "Opera", "price": 10, "user_id": "seller"}
    await bus.publish(TicketCreated(**facts))
    with pytest.raises(Unavailable):
        await orders.ticket(facts["id"])
    consumer = await bus.js.pull_subscribe_bind(durable="test", stream="TICKETING")
    (message,) = await consumer.fetch(1)
    with pytest.raises(Unavailable):
        await orders.ticket(facts["id"])
    await message.ack_sync()
    with pytest.raises(NoSuchTicket):
        await orders.ticket(facts["id"])
