"""Ordering with an Idempotency-Key: repeated, it places one order."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from orders.main import create
from ticketing_common.storage.mongo import connect
from ticketing_common.testing import new_user, published, serve_app, session, wait_until
from ticketing_common.testing.servers import free_port, mongod, running
from ticketing_common.values.events import OrderCreated, TicketCreated
from ticketing_common.values.ids import new_id

BUYER = new_user()


async def publish_ticket(bus):
    ticket_id = new_id()
    await bus.publish(
        TicketCreated(id=ticket_id, version=0, title="Opera", price=Decimal("19.99"), user_id=new_id())
    )
    return ticket_id


async def order(client, ticket_id, key, user=BUYER, **options):
    headers = session(user) | {"idempotency-key": key}
    return await client.post("/api/orders", json={"ticketId": ticket_id}, headers=headers, **options)


async def cancel(client, order_id, user=BUYER):
    assert (await client.delete(f"/api/orders/{order_id}", headers=session(user))).status_code == 204


async def own_orders(client, user=BUYER):
    return (await client.get("/api/orders", headers=session(user))).json()["orders"]


async def test_repeated_order_returns_the_first_answer_and_orders_once(client, bus):
    ticket_id = await publish_ticket(bus)
    first = await order(client, ticket_id, "one")
    again = await order(client, ticket_id, "one")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert await own_orders(client) == [first.json()]
    assert len(await wait_until(lambda: published(bus, OrderCreated))) == 1


async def test_repetition_returns_the_order_as_it_was_created_after_its_cancellation(client, bus):
    ticket_id = await publish_ticket(bus)
    first = await order(client, ticket_id, "one")
    await cancel(client, first.json()["id"])
    again = await order(client, ticket_id, "one")
    assert (again.status_code, again.content) == (201, first.content)
    assert (again.json()["status"], again.json()["version"]) == ("created", 0)
    (shown,) = await own_orders(client)
    assert shown["status"] == "cancelled"


async def test_repetition_returns_the_first_answer_after_another_buyer_reserved_the_ticket(client, bus):
    ticket_id, other = await publish_ticket(bus), new_user()
    first = await order(client, ticket_id, "one")
    await cancel(client, first.json()["id"])
    assert (await order(client, ticket_id, "one", other)).status_code == 201
    assert (await order(client, ticket_id, "one")).content == first.content
    assert len(await own_orders(client)) == 1


async def test_concurrent_orders_with_one_key_create_one_order(client, bus):
    for number in range(20):
        ticket_id = await publish_ticket(bus)
        answers = await asyncio.gather(*(order(client, ticket_id, f"key-{number}") for _ in range(2)))
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].content == answers[1].content
    assert len(await own_orders(client)) == 20


async def test_repetition_with_another_key_is_rejected_because_the_ticket_is_reserved(client, bus):
    """Negative control: only the same key turns `Ticket is already reserved` into the first answer."""
    ticket_id = await publish_ticket(bus)
    assert (await order(client, ticket_id, "one")).status_code == 201
    assert (await order(client, ticket_id, "two")).status_code == 400


async def test_order_repeated_at_another_replica_after_a_503_that_took_effect_is_placed_once(
    settings, bus, tmp_path
):
    server = mongod(free_port(), tmp_path)
    server = replace(server, command=[*server.command, "--setParameter", "enableTestCommands=1"])
    settings = settings.model_copy(update={"mongo_uri": f"{server.url}/orders"})
    stopping = {"code": 91, "codeName": "ShutdownInProgress", "errmsg": "The server is stopping."}
    with running(server):
        async with serve_app(create(settings)) as first, serve_app(create(settings)) as second:
            ticket_id = await publish_ticket(bus)

            async def ticket_is_known():
                return (await first.get(f"/api/orders/holds/{ticket_id}")).status_code == 200

            await wait_until(ticket_is_known)
            database = connect(settings.mongo_uri)
            await database.client.admin.command(
                "configureFailPoint",
                "failCommand",
                mode={"times": 1},
                data={"failCommands": ["insert"], "writeConcernError": stopping},
            )
            assert (await order(first, ticket_id, "one")).status_code == 503
            (placed,) = await database["orders"].find({}).to_list(9)
            answer = await order(second, ticket_id, "one")
            assert (answer.status_code, answer.json()["id"]) == (201, placed["_id"])
            assert len(await own_orders(second)) == 1
            database.client.close()


async def test_key_with_another_ticket_is_rejected_and_orders_nothing(client, bus):
    first = await order(client, await publish_ticket(bus), "one")
    for ticket_id in (await publish_ticket(bus), "f" * 24):
        answer = await order(client, ticket_id, "one")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["code"] == "idempotency_key_reused"
    assert await own_orders(client) == [first.json()]


async def test_key_belongs_to_its_user(client, bus):
    other = new_user()
    for user in (BUYER, other):
        assert (await order(client, await publish_ticket(bus), "one", user)).status_code == 201
    assert len(await own_orders(client, other)) == 1


async def test_rejected_order_does_not_use_up_its_key(client, bus):
    ticket_id, other = await publish_ticket(bus), new_user()
    reserved = await order(client, ticket_id, "one", other)
    rejected = await order(client, ticket_id, "one")
    assert rejected.status_code == 400
    assert rejected.json() == {"errors": [{"message": "Ticket is already reserved"}]}
    await cancel(client, reserved.json()["id"], other)
    assert (await order(client, ticket_id, "one")).status_code == 201


@pytest.mark.parametrize("key", ["", "a" * 65, "two words"])
async def test_malformed_key_is_rejected_and_orders_nothing(client, bus, key):
    answer = await order(client, await publish_ticket(bus), key)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]
    assert await own_orders(client) == []


async def test_order_without_a_key_stores_no_request_and_stays_readable(client, bus, database):
    ticket_id = await publish_ticket(bus)
    placed = await client.post("/api/orders", json={"ticketId": ticket_id}, headers=session(BUYER))
    document = await database["orders"].find_one({"_id": placed.json()["id"]})
    assert "request" not in document
    await cancel(client, placed.json()["id"])
    assert (await order(client, ticket_id, "one")).status_code == 201
