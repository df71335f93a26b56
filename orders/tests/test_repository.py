"""The queries of the orders service, checked with MongoDB's query planner, and its waiting for tickets."""

from datetime import timedelta
from functools import partial

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from orders.models import SalesTotals, Ticket, TicketAlreadyReserved, cancel, complete
from orders.use_cases import claim_ticket
from ticketing_common.values.clock import now
from ticketing_common.values.errors import NotFound, Unavailable
from ticketing_common.values.events import TicketCreated
from ticketing_common.values.ids import new_id


async def place(orders, *, ticket_id=None, user_id="buyer", seller_id="seller", ticket_version=1):
    ticket = Ticket(
        id=ticket_id or new_id(),
        version=ticket_version,
        title="Opera",
        price_cents=1999,
        seller_id=seller_id,
    )
    return await claim_ticket(orders, ticket, user_id, timedelta(minutes=15))


async def test_every_query_uses_an_index_without_a_sort(orders, database):
    for _ in range(20):  # between them others, which a scan would examine
        order = await place(orders)
        await place(orders, user_id="another", seller_id="another")
        await orders.change((await place(orders, user_id="another")).id, complete)
    await database.command("profile", 2)
    assert len(await orders.page("buyer", 10, None)) == 10
    assert len(await orders.page("buyer", 10, new_id(), newest_first=True)) == 10
    assert len(await orders.page_sales("seller", "created", 10, None)) == 10
    assert len(await orders.page_sales("seller", "created", 10, new_id())) == 10
    with pytest.raises(TicketAlreadyReserved):
        await place(orders, ticket_id=order.ticket.id)
    await database.command("profile", 0)
    queries = await database["system.profile"].find({"op": "query"}).to_list(10)
    assert len(queries) == 5
    for query in queries:
        assert "IXSCAN" in query["planSummary"]
        assert not query.get("hasSortStage")
        assert query["docsExamined"] <= 10


async def test_latest_order_of_a_ticket_at_version_0_is_looked_up_only_if_there_is_one(orders, database):
    await database.command("profile", 2)
    order = await place(orders, ticket_version=0)
    await database.command("profile", 0)
    assert await database["system.profile"].count_documents({"op": "query"}) == 0
    with pytest.raises(TicketAlreadyReserved):
        await place(orders, ticket_id=order.ticket.id, ticket_version=0)
    await orders.change(order.id, partial(cancel, reason="user"))
    again = await place(orders, ticket_id=order.ticket.id, ticket_version=0)
    assert again.ticket.n == 2


async def test_sales_are_summed_from_the_index_alone(orders, database):
    for paid in range(20):
        await place(orders, seller_id="another")
        order = await place(orders)
        if paid < 5:
            await orders.change(order.id, complete)
    await database.command("profile", 2)
    assert await orders.sum_sales("seller") == SalesTotals(reserved=15, sold=5, earnings_cents=5 * 1999)
    await database.command("profile", 0)
    (query,) = await database["system.profile"].find({"command.aggregate": "orders"}).to_list(2)
    assert "IXSCAN" in query["planSummary"]
    assert query["docsExamined"] == 0
    assert query["keysExamined"] <= 25


async def add_consumer(bus):
    """Create the durable consumer with the name of the bus."""
    config = ConsumerConfig(durable_name="test", ack_policy=AckPolicy.EXPLICIT, filter_subject="ticket.*")
    await bus.js.add_consumer("TICKETING", config)


async def test_unknown_ticket_is_waited_for_only_if_its_id_is_recent(orders, bus):
    await add_consumer(bus)
    started = now()
    with pytest.raises(NotFound):
        await orders.get_ticket("0" * 24)
    assert now() - started < timedelta(seconds=1)
    with pytest.raises(NotFound):
        await orders.get_ticket(new_id())
    assert now() - started > timedelta(seconds=2)


async def test_recent_ticket_is_unavailable_not_unknown_while_events_are_pending(orders, bus):
    await add_consumer(bus)
    facts = {"id": new_id(), "version": 0, "title": "Opera", "price": 10, "user_id": "seller"}
    await bus.publish(TicketCreated(**facts))
    with pytest.raises(Unavailable):
        await orders.get_ticket(facts["id"])
    consumer = await bus.js.pull_subscribe_bind(durable="test", stream="TICKETING")
    (message,) = await consumer.fetch(1)
    with pytest.raises(Unavailable):
        await orders.get_ticket(facts["id"])
    await message.ack_sync()
    with pytest.raises(NotFound):
        await orders.get_ticket(facts["id"])
