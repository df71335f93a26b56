"""Databases that are lost, and put back as docs/backups.md says, while the rest is ahead of the backup."""

import asyncio
import os
import sys

import pytest
import pytest_asyncio
from market import listed, order, ordered, pay, refund, until_held, until_status

from ticketing_common.testing import wait_until
from ticketing_operations.backup import dump, restore
from ticketing_operations.rebuild.command import main as rebuild

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ["auth", "tickets", "orders", "payments", "expiration"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backup(market, tmp_path_factory):
    """A backup that was made in the middle of things."""
    folder = tmp_path_factory.mktemp("backups")
    seller, buyer = await market.person(), await market.person()
    sold, given_back, edited, freed = [await listed(seller) for _ in range(4)]
    await bought(buyer, sold)
    to_give_back = await bought(buyer, given_back)
    await until_held(buyer, given_back, to_give_back)
    await until_all_agree(market)

    uris = {name: market.stack.env[f"MONGO_URI_{name.upper()}"] for name in SERVICES}
    assert not (await dump(uris, folder, keep=1)).missing

    for price in (7.00, 8.50):
        edit = await seller.put(f"/api/tickets/{edited}", json={"title": "Opera, later", "price": price})
        assert edit.status_code == 200, edit.text
    await bought(buyer, await listed(seller, 5.00))
    assert (await refund(seller, to_give_back)).status_code == 200
    cancelled = (await ordered(buyer, freed))["id"]
    assert (await buyer.delete(f"/api/orders/{cancelled}")).status_code == 204
    await bought(await market.person(), freed)
    await market.check_money()
    await until_all_agree(market)
    return max(folder.iterdir())


async def test_the_orders_alone_are_brought_forward_to_what_the_others_know(market, backup):
    """By the commands."""
    before = await everything(market)
    await lose(market, "orders")
    told = {"MONGO_URI": market.stack.env["MONGO_URI_ORDERS"]}
    await run(market, "ticketing_operations", "backup", "restore", "--from", backup, "orders", **told)
    await run(market, "ticketing_operations", "rebuild", "orders", **told)
    await market.stack.start("orders")
    await until_as(before, market)


async def test_all_are_brought_forward_to_what_the_stream_and_stripe_know(market, backup, monkeypatch):
    late = await market.person()
    await listed(late, 3.50)
    await until_all_agree(market)
    before = await everything(market)
    await lose(market, *SERVICES)
    monkeypatch.setenv("NATS_URL", market.stack.env["NATS_URL"])
    for name in SERVICES:
        uri = market.stack.env[f"MONGO_URI_{name.upper()}"]
        await restore(backup, name, uri, drop=True)
        monkeypatch.setenv("MONGO_URI", uri)
        assert name == "auth" or await rebuild([name]) == 0
    await market.stack.supervisor.start(*(part for name in SERVICES for part in parts_of(name)))
    await until_as(before, market)
    # What nothing tells of: those who have signed up since; their sessions go on, though.
    assert await market.database("auth")["accounts"].count_documents({}) == 2
    assert (await late.get("/api/orders")).status_code == 200
    await a_sale(market)


async def a_sale(market):
    """The market is as good as new."""
    seller, buyer = await market.person(), await market.person()
    ticket_id = await listed(seller)
    order_id = await bought(buyer, ticket_id)
    await until_held(buyer, ticket_id, order_id)
    assert (await order(await market.person(), ticket_id)).status_code == 400
    assert (await refund(seller, order_id)).status_code == 200
    await market.check_money()
    await until_all_agree(market)


async def bought(buyer, ticket_id):
    placed = await ordered(buyer, ticket_id)
    assert (await pay(buyer, placed["id"])).status_code == 201
    await until_status(buyer, placed["id"], "complete")
    return placed["id"]


async def run(market, *command, **told):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", *map(str, command)),
        env={**os.environ, **market.stack.env, **told},
        stdout=-1,
        stderr=-2,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def lose(market, *services):
    for part in [part for name in services for part in parts_of(name)]:
        await market.stack.kill(part)
    for name in services:
        database = market.database(name)
        await database.client.drop_database(database.name)


def parts_of(service):
    return ["expiration", "worker"] if service == "expiration" else [service]


async def until_as(before, market):
    """Until all is as it was before; the payments service asks Stripe first."""
    await until_all_agree(market)

    async def as_before():
        return await everything(market) == before

    try:
        await wait_until(as_before)
    except AssertionError:
        assert await everything(market) == before


async def everything(market):
    """All that the market knows of tickets, orders and money."""
    return [
        await all_of(market, "tickets", "tickets", "outbox"),
        await all_of(market, "orders", "tickets"),
        await all_of(market, "orders", "orders", "outbox"),
        {
            p["order_id"]: {key: p[key] for key in ("order_version", "order_status", "status", "stripe_id")}
            for p in (await all_of(market, "payments", "payments")).values()
            if p["stripe_id"]
        },
    ]


async def all_of(market, service, collection, *but):
    documents = await market.database(service)[collection].find({}, dict.fromkeys(but, 0)).to_list(None)
    return {document["_id"]: document for document in documents}


async def until_all_agree(market):
    async def agree():
        nonlocal found
        found = await disagreements(market)
        return not found

    found = []
    try:
        await wait_until(agree, 20)
    except AssertionError:
        raise AssertionError(found) from None


async def disagreements(market):
    """What one service knows of tickets and orders, and another knows otherwise."""
    found = []
    tickets, copies = await all_of(market, "tickets", "tickets"), await all_of(market, "orders", "tickets")
    orders = await all_of(market, "orders", "orders")
    payments = {p["order_id"]: p for p in (await all_of(market, "payments", "payments")).values()}
    entries = await all_of(market, "expiration", "entries")
    held = {}
    for one in sorted(orders.values(), key=lambda each: each["ticket"]["n"]):
        holder = one["_id"] if one["status"] in ("created", "complete") else None
        held[one["ticket"]["id"]] = (holder, one["ticket"]["n"])
    for ticket_id in tickets.keys() | copies.keys():
        ticket, copy = tickets.get(ticket_id), copies.get(ticket_id)
        same = ticket and copy and all(ticket[f] == copy[f] for f in ("version", "title", "price_cents"))
        if not same or (ticket["order_id"], ticket["order_n"]) != held.get(ticket_id, (None, 0)):
            found.append((ticket, copy, held.get(ticket_id)))
    for order_id in orders.keys() | payments.keys() | entries.keys():
        one, payment, entry = orders.get(order_id), payments.get(order_id), entries.get(order_id)
        same = one and payment and entry
        same = same and (one["version"], one["status"]) == (payment["order_version"], payment["order_status"])
        same = same and one["ticket"]["price_cents"] == payment["amount_cents"]
        if not same or (one["status"] == "created") != (entry["settled_at"] is None):
            found.append((one, payment, entry))
    return found
