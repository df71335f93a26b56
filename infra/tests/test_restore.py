"""Lost databases are restored from a backup and brought up to date, as docs/backups.md describes."""

from typing import Any

import pytest
import pytest_asyncio
from api_calls import buy_ticket, list_ticket, place_order, post_order, post_refund, wait_for_reservation
from stack_under_test import running_stack_under_test

from ticketing_common.testing import wait_until
from ticketing_operations.backup import dump, restore
from ticketing_operations.rebuild.command import main as rebuild

pytestmark = pytest.mark.asyncio(loop_scope="package")

SERVICES = ["auth", "tickets", "orders", "payments", "expiration"]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def stack(tmp_path_factory):
    """A stack of its own: the data of other tests would change during these."""
    async with running_stack_under_test(tmp_path_factory.mktemp("stack"), payment_window=4) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def backup(stack, tmp_path_factory):
    """The folder of a backup, after which tickets, orders and refunds have changed."""
    folder = tmp_path_factory.mktemp("backups")
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    sold, refunded, edited, released = [await list_ticket(seller) for _ in range(4)]
    await buy_ticket(buyer, sold)
    refunded_order = await buy_ticket(buyer, refunded)
    await wait_for_reservation(buyer, refunded, refunded_order)
    await wait_for_agreement(stack)

    uris = {name: stack.env[f"MONGO_URI_{name.upper()}"] for name in SERVICES}
    assert not (await dump(uris, folder, keep=1)).missing

    for price in (7.00, 8.50):
        edit = await seller.put(f"/api/tickets/{edited}", json={"title": "Opera, later", "price": price})
        assert edit.status_code == 200, edit.text
    await buy_ticket(buyer, await list_ticket(seller, price=5.00))
    assert (await post_refund(seller, refunded_order)).status_code == 200
    cancelled_order = (await place_order(buyer, released))["id"]
    assert (await buyer.delete(f"/api/orders/{cancelled_order}")).status_code == 204
    await buy_ticket(await stack.sign_up(), released)
    await stack.check_money()
    await wait_for_agreement(stack)
    return max(folder.iterdir())


async def test_orders_alone_is_restored_and_rebuilt_by_the_commands(stack, backup):
    before = await read_state(stack)
    await lose_databases(stack, "orders")
    await run_operation(stack, "orders", "backup", "restore", "--from", str(backup), "orders")
    await run_operation(stack, "orders", "rebuild", "orders")
    await stack.processes.start("orders")
    await wait_for_state(stack, before)


async def test_all_services_are_restored_and_rebuilt_from_the_stream_and_stripe(stack, backup, monkeypatch):
    late_user = await stack.sign_up()
    await list_ticket(late_user, price=3.50)
    await wait_for_agreement(stack)
    before = await read_state(stack)
    await lose_databases(stack, *SERVICES)
    monkeypatch.setenv("NATS_URL", stack.env["NATS_URL"])
    for name in SERVICES:
        uri = stack.env[f"MONGO_URI_{name.upper()}"]
        await restore(backup, name, uri, drop=True)
        monkeypatch.setenv("MONGO_URI", uri)
        assert name == "auth" or await rebuild([name]) == 0
    await stack.processes.supervisor.start(*(process for name in SERVICES for process in processes_of(name)))
    await wait_for_state(stack, before)
    # There are no events about accounts, so only the two in the backup are left.
    assert await stack.database("auth")["accounts"].count_documents({}) == 2
    assert (await late_user.get("/api/orders")).status_code == 200
    await check_sale(stack)


async def check_sale(stack):
    """A ticket can be listed, bought and refunded as before."""
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    ticket_id = await list_ticket(seller)
    order_id = await buy_ticket(buyer, ticket_id)
    await wait_for_reservation(buyer, ticket_id, order_id)
    assert (await post_order(await stack.sign_up(), ticket_id)).status_code == 400
    assert (await post_refund(seller, order_id)).status_code == 200
    await stack.check_money()
    await wait_for_agreement(stack)


async def run_operation(stack, service, *arguments):
    """Runs a command of ticketing_operations on the database of the service."""
    uri = stack.env[f"MONGO_URI_{service.upper()}"]
    status, output = await stack.run_command("ticketing_operations", *arguments, MONGO_URI=uri)
    assert status == 0, output


async def lose_databases(stack, *services):
    for process in [process for name in services for process in processes_of(name)]:
        await stack.processes.kill(process)
    for name in services:
        database = stack.database(name)
        await database.client.drop_database(database.name)


def processes_of(service):
    return ["expiration", "worker"] if service == "expiration" else [service]


async def wait_for_state(stack, expected):
    """Waits, because after a restart payments asks Stripe about restored payments."""
    await wait_for_agreement(stack)

    async def is_reached():
        return await read_state(stack) == expected

    try:
        await wait_until(is_reached)
    except AssertionError:
        assert await read_state(stack) == expected


async def read_state(stack):
    """All tickets, orders and payments."""
    return [
        await read_all(stack, "tickets", "tickets", "outbox"),
        await read_all(stack, "orders", "tickets"),
        await read_all(stack, "orders", "orders", "outbox"),
        {
            p["order_id"]: {key: p[key] for key in ("order_version", "order_status", "status", "stripe_id")}
            for p in (await read_all(stack, "payments", "payments")).values()
            if p["stripe_id"]
        },
    ]


async def read_all(stack, service, collection, *excluded):
    """The documents of the collection by id, without the excluded fields."""
    documents = await stack.database(service)[collection].find({}, dict.fromkeys(excluded, 0)).to_list(None)
    return {document["_id"]: document for document in documents}


async def wait_for_agreement(stack):
    differences: list[Any] = []

    async def is_reached():
        differences[:] = await find_differences(stack)
        return not differences

    try:
        await wait_until(is_reached, 20)
    except AssertionError:
        raise AssertionError(differences) from None


async def find_differences(stack):
    """The tickets and orders about which the databases of two services disagree."""
    differences: list[Any] = []
    tickets, copies = await read_all(stack, "tickets", "tickets"), await read_all(stack, "orders", "tickets")
    orders = await read_all(stack, "orders", "orders")
    payments = {p["order_id"]: p for p in (await read_all(stack, "payments", "payments")).values()}
    entries = await read_all(stack, "expiration", "entries")
    reservations = {}
    for order in sorted(orders.values(), key=lambda each: each["ticket"]["n"]):
        holder = order["_id"] if order["status"] in ("created", "complete") else None
        reservations[order["ticket"]["id"]] = (holder, order["ticket"]["n"])
    for ticket_id in tickets.keys() | copies.keys():
        ticket, copy = tickets.get(ticket_id), copies.get(ticket_id)
        reservation = reservations.get(ticket_id, (None, 0))
        if (
            not (ticket and copy)
            or any(ticket[name] != copy[name] for name in ("version", "title", "price_cents"))
            or (ticket["order_id"], ticket["order_n"]) != reservation
        ):
            differences.append((ticket, copy, reservation))
    for order_id in orders.keys() | payments.keys() | entries.keys():
        order, payment, entry = orders.get(order_id), payments.get(order_id), entries.get(order_id)
        if (
            not (order and payment and entry)
            or (order["version"], order["status"]) != (payment["order_version"], payment["order_status"])
            or order["ticket"]["price_cents"] != payment["amount_cents"]
            or (order["status"] == "created") != (entry["settled_at"] is None)
        ):
            differences.append((order, payment, entry))
    return differences
