"""The queries of the orders service, held against the real planner."""

from datetime import timedelta

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from orders.models import NoSuchTicket, Ticket, TicketReserved, place
from ticketing_common.clock import now
from ticketing_common.errors import Unavailable
from ticketing_common.events import TicketCreated
from ticketing_common.mongo import new_id


def placing(ticket, user_id="buyer"):
    return lambda last: place(new_id(), user_id, ticket, last, now(), timedelta(minutes=15))


async def test_every_query_reads_an_index_and_sorts_nothing(orders, database):
    for _ in range(20):
        ticket = Ticket(id=new_id(), title="Opera", price_cents=1000)
        await orders.claim(ticket.id, placing(ticket))
    await database.command("profile", 2)
    assert len(await orders.page("buyer", 10, None)) == 10
    with pytest.raises(TicketReserved):
        await orders.claim(ticket.id, placing(ticket))
    await database.command("profile", 0)
    queries = await database["system.profile"].find({"op": "query"}).to_list(10)
    assert len(queries) == 2
    for query in queries:
        assert "IXSCAN" in query["planSummary"]
        assert not query.get("hasSortStage")
        assert query["docsExamined"] <= 10


async def test_only_a_young_id_is_waited_for(orders):
    begun = now()
    with pytest.raises(NoSuchTicket):
        await orders.ticket("0" * 24)
    assert now() - begun < timedelta(seconds=1)
    with pytest.raises(NoSuchTicket):
        await orders.ticket(new_id())
    assert now() - begun > timedelta(seconds=2)


async def test_a_young_id_is_not_called_unknown_while_events_wait_for_us(orders, bus):
    follows = ConsumerConfig(durable_name="test", ack_policy=AckPolicy.EXPLICIT, filter_subject="ticket.*")
    await bus.js.add_consumer("TICKETING", follows)
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
