"""What a purchase costs, as docs/scaling.md explains it, write by write."""

import pytest

from ticketing_bench.cost import less_idle, measure


def test_what_is_counted_at_rest_is_taken_off() -> None:
    counts = {"finds": 130.0, "inserts": 10.0, "pings": 60.0, "seconds": 30.0}
    at_rest = {"finds": 10.0, "pings": 20.0, "seconds": 10.0}
    assert less_idle(counts, at_rest, 10) == {"finds": 10.0, "inserts": 1.0}


async def test_the_writes_messages_and_calls_of_a_purchase_are_those_that_are_documented(tmp_path) -> None:
    costs = await measure(tmp_path, purchases=8, rest_seconds=2)
    writes = {
        name.removeprefix("mongod "): count
        for name, count in costs.whole.items()
        if name.startswith("mongod ") and name.endswith((" insert", " update", " remove"))
    }
    # Six of a payment and the end of its lease. Each of the two webhooks adds one if it comes before the
    # answer of its call, and leases are renewed once a second.
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
    assert costs.whole["mongod orders.tickets commands"] == 2  # findAndModify of the copy
    subjects = ["order.completed", "order.created", "payment.created", "ticket.created", "ticket.updated"]
    assert sorted(costs.events) == subjects
    assert {costs.whole[f"stream {subject}"] for subject in subjects} == {1}
    followers = {"tickets": 2, "orders": 3, "payments": 2, "expiration": 2}
    assert all(costs.whole[f"delivered to {name}"] >= count for name, count in followers.items())
    for call in ("", "/{id}/confirm", "/{id}/capture"):
        assert costs.whole[f"stripe POST /v1/payment_intents{call}"] == 1
    for named in ("cpu ms payments", "journal bytes", "redis zadd", "ingress bytes in"):
        assert costs.whole[named] > 0
    assert costs.documents["orders.orders"]["document"] > 100
