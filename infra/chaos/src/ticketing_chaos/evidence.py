"""What is left when everybody has gone home: the five databases, the stream, Stripe, and the history."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import stripe

from ticketing_chaos.history import History, Json
from ticketing_common.jetstream import STREAM, connected
from ticketing_common.mongo import Database, connect
from ticketing_common.tail import Position, read
from ticketing_local.stack import Stack

DATABASES = ["auth", "tickets", "orders", "payments", "expiration"]


@dataclass(frozen=True)
class Event:
    subject: str
    data: Json
    at: datetime
    """When the stream got it."""

    @property
    def aggregate(self) -> str:
        """ticket, order, payment or expiration."""
        return self.subject.partition(".")[0]


@dataclass(frozen=True)
class Intent:
    """A PaymentIntent, as far as money goes; amounts in cents."""

    id: str
    order_id: str
    payment_id: str
    status: str
    amount: int
    held: bool
    """The bank holds the amount for us."""
    taken: int
    """Ever captured."""
    given_back: int


@dataclass(frozen=True)
class Evidence:
    history: History
    accounts: dict[str, Json]
    tickets: dict[str, Json]
    orders: dict[str, Json]
    copies: dict[str, Json]
    """Of tickets, as the orders service has them."""
    payments: dict[str, Json]
    """By the order's id."""
    entries: dict[str, Json]
    """The expiration service's ledger."""
    dead_letters: list[Json]
    waiting: dict[str, int]
    """For each consumer, how many events it has not acknowledged."""
    events: list[Event]
    intents: list[Intent]


async def gather(stack: Stack, history: History) -> Evidence:
    databases = {name: connect(stack.env[f"MONGO_URI_{name.upper()}"]) for name in DATABASES}
    try:
        return Evidence(
            history=history,
            accounts=await _documents(databases["auth"], "accounts"),
            tickets=await _documents(databases["tickets"], "tickets"),
            orders=await _documents(databases["orders"], "orders"),
            copies=await _documents(databases["orders"], "tickets"),
            payments=await _documents(databases["payments"], "payments", by="order_id"),
            entries=await _documents(databases["expiration"], "entries"),
            dead_letters=[
                letter | {"service": name}
                for name, database in databases.items()
                for letter in (await _documents(database, "dead_letters")).values()
            ],
            waiting=await waiting(stack),
            events=await _events(stack),
            intents=await _intents(stack),
        )
    finally:
        for database in databases.values():
            database.client.close()


async def waiting(stack: Stack) -> dict[str, int]:
    """For each consumer, how many events it has not acknowledged."""
    async with connected(stack.env["NATS_URL"], "chaos") as bus:
        consumers = await bus.js.consumers_info(str(STREAM.name))
    return {
        str(each.config.durable_name): (each.num_pending or 0) + (each.num_ack_pending or 0)
        for each in consumers
        if each.config.durable_name
    }


async def _documents(database: Database, collection: str, by: str = "_id") -> dict[str, Json]:
    return {str(document[by]): document async for document in database[collection].find({})}


async def _events(stack: Stack) -> list[Event]:
    events = []
    async with connected(stack.env["NATS_URL"], "chaos") as bus:
        position = Position.of(await bus.stream(), 0)
        while batch := await read(bus, list(STREAM.subjects or []), position, 1_000):
            position = batch[-1].position
            events += [Event(each.subject, json.loads(each.data), each.at) for each in batch]
    return events


async def _intents(stack: Stack) -> list[Intent]:
    client = stripe.StripeClient(
        stack.env["STRIPE_KEY"],
        base_addresses={"api": stack.env["STRIPE_API_BASE"]},
        http_client=stripe.HTTPXClient(),
    )
    page = await client.v1.payment_intents.list_async({"limit": 100, "expand": ["data.latest_charge"]})
    return [_intent(intent) async for intent in page.auto_paging_iter()]


def _intent(intent: stripe.PaymentIntent) -> Intent:
    charge: Any = intent.latest_charge
    return Intent(
        id=intent.id,
        order_id=intent.metadata["orderId"],
        payment_id=intent.metadata["paymentId"],
        status=intent.status,
        amount=intent.amount,
        held=intent.status == "requires_capture",
        taken=intent.amount_received,
        # What was held and released counts as refunded, too, at Stripe.
        given_back=charge.amount_refunded if charge and intent.amount_received else 0,
    )
