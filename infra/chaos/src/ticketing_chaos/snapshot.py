"""What an experiment leaves: its history, the databases, the stream, and Stripe's records."""

import asyncio
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import stripe
from pymongo import MongoClient

from ticketing_chaos.history import History, Json
from ticketing_common.messaging.bus import STREAM, Bus, open_bus
from ticketing_common.messaging.stream_reader import Position, read_messages
from ticketing_local.stack import Stack

LIVE = ("created", "awaiting:payment", "complete")  # the statuses of an order that reserves its ticket
_CONSUMERS = ("tickets", "orders", "payments", "expiration")


class Event(NamedTuple):
    subject: str
    data: Json
    at: datetime  # when the stream stored it


class Intent(NamedTuple):
    """The money of a PaymentIntent, in cents."""

    id: str
    order_id: str
    status: str
    captured: int
    refunded: int


@dataclass(frozen=True)
class Snapshot:
    """Documents are keyed by their ids, payments by the ids of their orders."""

    history: History
    accounts: dict[str, Json]
    tickets: dict[str, Json]
    ticket_copies: dict[str, Json]  # the read model of the orders service
    orders: dict[str, Json]
    payments: dict[str, Json]
    expirations: dict[str, Json]
    dead_letters: list[Json]
    pending: dict[str, int]  # the number of events that each consumer has not acknowledged
    events: list[Event]
    intents: list[Intent]

    def orders_by_ticket(self) -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = defaultdict(list)
        for order in sorted(self.orders.values(), key=lambda order: order["ticket"]["n"]):
            found[order["ticket"]["id"]].append(order)
        return found

    def events_by_version(self, kind: str) -> dict[str, dict[int, list[Event]]]:
        """The events of each version of each ticket or order."""
        found: dict[str, dict[int, list[Event]]] = defaultdict(lambda: defaultdict(list))
        for event in self.events:
            if event.subject.startswith(f"{kind}."):
                found[event.data["id"]][event.data["version"]].append(event)
        return found


class Violation(NamedTuple):
    """What makes a snapshot violate an invariant."""

    description: str
    about: str | None = None  # the id of the order or the ticket


async def take_snapshot(stack: Stack, history: History, max_wait: float) -> Snapshot:
    """Take the snapshot when nothing is pending twice in a row, or after this time."""
    deadline, times_idle = time.monotonic() + max_wait, 0
    mongo: MongoClient[Json] = MongoClient(stack.env["MONGO_URL"], tz_aware=True)

    def documents(database: str, collection: str, key: str = "_id") -> dict[str, Json]:
        return {str(document[key]): document for document in mongo[database][collection].find()}

    async with open_bus(stack.env["NATS_URL"], "chaos") as bus:
        while times_idle < 2 and time.monotonic() < deadline:
            times_idle = times_idle + 1 if await _is_idle(mongo, bus) else 0
            await asyncio.sleep(0.5)
        with mongo:
            return Snapshot(
                history=history,
                accounts=documents("auth", "accounts"),
                tickets=documents("tickets", "tickets"),
                ticket_copies=documents("orders", "tickets"),
                orders=documents("orders", "orders"),
                payments=documents("payments", "payments", key="order_id"),
                expirations=documents("expiration", "entries"),
                dead_letters=[d for name in _CONSUMERS for d in documents(name, "dead_letters").values()],
                pending={name: await bus.pending_count(name) for name in _CONSUMERS},
                events=await _read_events(bus),
                intents=_list_intents(stack.env),
            )


async def _is_idle(mongo: MongoClient[Json], bus: Bus) -> bool:
    """Whether nothing is pending: no event, no order that may still be paid, no settlement."""
    unfinished = [{"outbox.0": {"$exists": True}}, {"status": "created"}, {"settle_at": {"$ne": None}}]
    if any(mongo[name][name].find_one({"$or": unfinished}) for name in ("tickets", "orders", "payments")):
        return False
    return not any([await bus.pending_count(name) for name in _CONSUMERS])


async def _read_events(bus: Bus) -> list[Event]:
    events: list[Event] = []
    position = Position.of(await bus.stream_info(), 0)
    while batch := await read_messages(bus, list(STREAM.subjects or []), position, 1_000):
        position = batch[-1].position
        events += [Event(each.subject, json.loads(each.data), each.at) for each in batch]
    return events


def _list_intents(env: dict[str, str]) -> list[Intent]:
    client = stripe.StripeClient(env["STRIPE_KEY"], base_addresses={"api": env["STRIPE_API_BASE"]})
    page = client.v1.payment_intents.list({"limit": 100, "expand": ["data.latest_charge"]})
    intents = []
    for each in page.auto_paging_iter():
        charge: Any = each.latest_charge
        # Stripe also counts an authorisation that is released without a capture as refunded.
        refunded = charge.amount_refunded if charge and each.amount_received else 0
        order_id = each.metadata["orderId"]
        intents.append(Intent(each.id, order_id, each.status, each.amount_received, refunded))
    return intents
