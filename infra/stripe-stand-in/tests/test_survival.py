"""Kill and restart, concurrent calls, the cost of a call, start and stop."""

import asyncio
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from typing import Any
from uuid import uuid4

import pytest
import stripe

from stripe_stand_in.store import STATEMENTS, Store
from stripe_stand_in.testing import running

INTENT: Any = {
    "amount": 1999,
    "currency": "usd",
    "payment_method_types": ["card"],
    "capture_method": "manual",
}


def test_restart_after_a_kill_has_lost_nothing(tmp_path, client_of):
    options = {"idempotency_key": str(uuid4())}
    paid = {**INTENT, "confirm": True, "payment_method": "pm_card_visa", "metadata": {"orderId": "7"}}
    with running(tmp_path) as api:
        client = client_of(api)
        intent = client.v1.payment_intents.create(paid, options)
        card = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2050}
        method = client.v1.payment_methods.create({"type": "card", "card": card})
        api.process.kill()
        api.process.wait()
    with running(tmp_path) as api:
        client = client_of(api)
        assert client.v1.payment_intents.retrieve(intent.id).to_dict() == intent.to_dict()
        assert client.v1.charges.retrieve(intent.latest_charge).paid
        again = client.v1.payment_intents.create(paid, options)
        assert again.id == intent.id
        assert again.last_response.headers["Idempotent-Replayed"] == "true"
        assert len(client.v1.payment_intents.list().data) == 1
        assert client.v1.payment_intents.capture(intent.id).status == "succeeded"
        assert client.v1.payment_methods.retrieve(method.id).card.last4 == "4242"


def test_restart_after_a_kill_under_load_has_every_answered_write(tmp_path, client_of):
    async def create_until_killed(api):
        client = stripe.StripeClient(
            api.key, base_addresses={"api": api.url}, http_client=stripe.HTTPXClient(), max_network_retries=0
        )
        answered = []

        async def worker():
            while True:
                try:
                    answered.append((await client.v1.payment_intents.create_async(INTENT)).id)
                except stripe.APIConnectionError:
                    return

        workers = asyncio.gather(*(worker() for _ in range(8)))
        await asyncio.sleep(0.5)
        api.process.kill()
        await workers
        return answered

    with running(tmp_path) as api:
        answered = asyncio.run(create_until_killed(api))
        api.process.wait()
    assert len(answered) > 10
    with running(tmp_path) as api:
        stored = {
            intent.id for intent in client_of(api).v1.payment_intents.list({"limit": 100}).auto_paging_iter()
        }
    assert set(answered) <= stored


def test_intent_is_authorised_at_most_once(stripe_api, create, client):
    """Two concurrent confirmations with two cards, ten times."""

    async def both(intent_id):
        racer = stripe.StripeClient(
            stripe_api.key,
            base_addresses={"api": stripe_api.url},
            http_client=stripe.HTTPXClient(),
            max_network_retries=0,
        )
        cards: Any = [
            {"payment_method_data": {"type": "card", "card": {"token": token}}}
            for token in ("tok_visa", "tok_mastercard")
        ]
        return await asyncio.gather(
            *(racer.v1.payment_intents.confirm_async(intent_id, card) for card in cards),
            return_exceptions=True,
        )

    for _ in range(10):
        intent = create()
        results = asyncio.run(both(intent.id))
        won = [result for result in results if isinstance(result, stripe.PaymentIntent)]
        lost = [result for result in results if isinstance(result, stripe.InvalidRequestError)]
        assert (len(won), len(lost)) == (1, 1)
        assert lost[0].code == "payment_intent_unexpected_state"
        assert client.v1.payment_intents.retrieve(intent.id).latest_charge == won[0].latest_charge


def test_either_of_concurrent_capture_and_cancel_succeeds(stripe_api, create, client):
    async def both(intent_id):
        racer = stripe.StripeClient(
            stripe_api.key, base_addresses={"api": stripe_api.url}, http_client=stripe.HTTPXClient()
        )
        calls = (racer.v1.payment_intents.capture_async, racer.v1.payment_intents.cancel_async)
        return await asyncio.gather(*(call(intent_id) for call in calls), return_exceptions=True)

    for _ in range(10):
        intent = create(confirm=True, payment_method="pm_card_visa")
        results = asyncio.run(both(intent.id))
        won = [result for result in results if isinstance(result, stripe.PaymentIntent)]
        assert len(won) == 1
        assert client.v1.payment_intents.retrieve(intent.id).status == won[0].status


def test_index_serves_every_query(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "stripe.sqlite3") as db:
        for name, statement in STATEMENTS.items():
            parameters = [1] * statement.count("?")
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step], (name, plan)


def test_cost_of_a_call_does_not_grow_with_the_number_of_intents(tmp_path, client_of):
    def median_seconds(client):
        times = []
        for _ in range(60):
            started = time.perf_counter()
            intent = client.v1.payment_intents.create(
                {**INTENT, "confirm": True, "payment_method": "pm_card_visa"}
            )
            client.v1.payment_intents.list({"created": {"gte": intent.created - 5}, "limit": 10})
            client.v1.payment_intents.capture(intent.id)
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    with running(tmp_path) as api:
        before = median_seconds(client_of(api))
    store = Store(tmp_path)
    with store.transaction():
        for n in range(50_000):
            store.insert({"id": f"pi_{n}", "object": "payment_intent", "created": n, "padding": "x" * 500})
    store.close()
    with running(tmp_path) as api:
        after = median_seconds(client_of(api))
    assert after < 3 * before + 0.005, f"{before * 1000:.1f} ms became {after * 1000:.1f} ms"


def test_server_starts_and_stops_quickly(tmp_path):
    started = time.monotonic()
    with running(tmp_path) as api:
        ready = time.monotonic() - started
        api.process.send_signal(signal.SIGTERM)
        assert api.process.wait(timeout=3) == 0
    assert ready < 5  # a third of a second on a quiet machine
    log = (tmp_path / "server.log").read_text().splitlines()
    assert len(log) == 1, log
    assert log[0].startswith("stripe-stand-in: http://127.0.0.1:")


def test_log_has_one_line_per_call(tmp_path, client_of):
    with running(tmp_path) as api:
        params = {**INTENT, "confirm": True, "payment_method": "pm_card_chargeDeclined"}
        with pytest.raises(stripe.CardError):
            client_of(api).v1.payment_intents.create(params)
    line = (tmp_path / "server.log").read_text().splitlines()[1]
    assert line.startswith("POST /v1/payment_intents 402 card_declined ")
    assert line.endswith(" ms")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"PORT": ""}, "PORT is not set"),
        ({"DATA_DIR": ""}, "DATA_DIR is not set"),
        ({"STRIPE_KEY": ""}, "STRIPE_KEY is not set"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is 'loud'"),
        ({"DATA_DIR": "/dev/null/state"}, "cannot store its state in DATA_DIR /dev/null/state"),
    ],
)
def test_server_does_not_start_with_invalid_settings(tmp_path, change, message):
    environment = {**os.environ, "PORT": "1", "DATA_DIR": str(tmp_path), "STRIPE_KEY": "sk_test_1", **change}
    command = [sys.executable, "-m", "stripe_stand_in.main"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"stripe-stand-in: {message}")
    assert done.stderr.count("\n") == 1
