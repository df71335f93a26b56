"""What a purchase costs, as docs/scaling.md explains it: writes, events, deliveries and calls to Stripe."""

import asyncio
import re
from collections import Counter
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from ticketing_common.messaging.bus import STREAM, open_bus
from ticketing_common.testing import wait_until
from ticketing_local.api import list_ticket, new_client, order, pay, sign_up
from ticketing_local.testing import running_stack

PURCHASES = 8
CONSUMERS = ("tickets", "orders", "payments", "expiration")
STRIPE_CALL = re.compile(r"^POST (/v1/payment_intents\S*) ", re.MULTILINE)


class Counters:
    def __init__(self, stack, bus, mongo):
        self._stack, self._bus, self._mongo = stack, bus, mongo

    async def read(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for collection, used in self._mongo.admin.command("top")["totals"].items():
            if collection.startswith(("auth.", "tickets.", "orders.", "payments.", "expiration.")):
                for kind in ("insert", "update", "remove", "commands"):
                    found[f"{collection} {kind}"] = used[kind]["count"]
        stream = await self._bus.js.stream_info(STREAM.name, subjects_filter=">")
        found.update({f"event {subject}": count for subject, count in (stream.state.subjects or {}).items()})
        for name in CONSUMERS:
            consumer = await self._bus.js.consumer_info(STREAM.name, name)
            found[f"deliveries to {name}"] = consumer.delivered.consumer_seq
        calls = STRIPE_CALL.findall((self._stack.data_dir / "logs" / "stripe.log").read_text())
        found.update(f"stripe {re.sub('pi_[A-Za-z0-9]+', '{id}', path)}" for path in calls)
        return found

    async def is_idle(self) -> bool:
        """Whether every event is handled, every payment settled, and every webhook delivered."""
        env = self._stack.env
        async with httpx.AsyncClient(base_url=env["STRIPE_API_BASE"], auth=(env["STRIPE_KEY"], "")) as stripe:
            if (await stripe.get("/_webhooks")).json()["pending"]:
                return False
        if any([await self._bus.pending_count(name) for name in CONSUMERS]):
            return False
        unfinished = {"$or": [{"outbox.0": {"$exists": True}}, {"settle_at": {"$type": "date"}}]}
        return not any(self._mongo[name][name].find_one(unfinished) for name in CONSUMERS[:3])


@asynccontextmanager
async def counters_of_running_stack(folder):
    async with running_stack(folder) as stack, open_bus(stack.env["NATS_URL"], "cost") as bus:
        mongo: MongoClient[dict[str, Any]] = MongoClient(stack.env["MONGO_URL"])
        with mongo:
            yield stack, Counters(stack, bus, mongo)


async def test_purchase_has_the_documented_writes_events_and_calls(tmp_path):
    async with counters_of_running_stack(tmp_path) as (stack, counters), new_client(stack.base_url) as person:
        await sign_up(person, "buyer@example.com", "correct horse battery")
        before = await counters.read()
        for _ in range(PURCHASES):
            ticket = await list_ticket(person, "Opera", 120.50)
            await wait_until(counters.is_idle, 60)
            placed = await order(person, ticket["id"])
            await wait_until(counters.is_idle, 60)
            await pay(person, placed["id"], "tok_visa")
            await wait_until(counters.is_idle, 60)
        await asyncio.sleep(0.5)  # the writes of the last webhooks
        counts = {name: n / PURCHASES for name, n in (await counters.read() - before).items()}
    writes = {name: n for name, n in counts.items() if name.endswith((" insert", " update", " remove"))}
    # Six of a payment and the end of its lease. Each of the two webhooks adds one if it arrives before the
    # response of its call, and leases are renewed once a second.
    assert 7 <= writes.pop("payments.payments update") < 10
    assert writes == pytest.approx(
        {
            "tickets.tickets insert": 1,
            "tickets.tickets update": 3,
            "orders.orders insert": 1,
            "orders.orders update": 3,
            "payments.payments insert": 1,
            "payments.stripe_events update": 2,
            "expiration.entries insert": 1,
            "expiration.entries update": 1,
        }
    )
    assert counts["orders.tickets commands"] == 2  # findAndModify of the copy
    events = {name.removeprefix("event "): n for name, n in counts.items() if name.startswith("event ")}
    subjects = ["order.completed", "order.created", "payment.created", "ticket.created", "ticket.updated"]
    assert events == dict.fromkeys(subjects, 1)
    for name, count in {"tickets": 2, "orders": 3, "payments": 2, "expiration": 2}.items():
        assert counts[f"deliveries to {name}"] >= count
    for call in ("", "/{id}/confirm", "/{id}/capture"):
        assert counts[f"stripe /v1/payment_intents{call}"] == 1
