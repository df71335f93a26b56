"""Redelivery of events that fail or arrive too early, and when they become dead letters."""

from datetime import timedelta

import pytest

from ticketing_common.messaging import listener as listener_module
from ticketing_common.messaging.consumer import Consumer
from ticketing_common.messaging.listener import MAX_FAILURES, redelivery_delay
from ticketing_common.testing import wait_until
from ticketing_common.values.aggregate import EarlierEventMissing, NotDueYet
from ticketing_common.values.clock import now
from ticketing_common.values.errors import Unavailable
from ticketing_common.values.events import PaymentFailed

from .replicas import Inbox, count_deliveries, publish_failed, running_replica, wait_until_handled


def test_redelivery_delay_doubles_up_to_30_s():
    assert [redelivery_delay(n) for n in (1, 2, 3, 20)] == [0.05, 0.1, 0.2, 30.0]


@pytest.mark.parametrize("error", [RuntimeError, EarlierEventMissing])
async def test_event_is_redelivered_until_its_handler_succeeds(bus, database, nats_url, error):
    inbox = Inbox(*[error("not yet")] * 3)
    async with running_replica(nats_url, database, {PaymentFailed: inbox}):
        (order_id,) = sent = await publish_failed(bus)
        await wait_until_handled(inbox, sent)
    assert inbox.orders == [order_id]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), EarlierEventMissing("v1")], ids=["failed", "early"])
async def test_deliveries_without_a_failure_do_not_count_towards_the_dead_letter(
    bus, database, letters, nats_url, error
):
    """Such as deliveries to another version, to a frozen process, or just before an outage."""
    inbox = Inbox(error, error)
    await Consumer(bus, "orders", ["payment.failed"]).ensure()
    sent = await publish_failed(bus)
    subscription = await bus.js.pull_subscribe_bind(durable="orders", stream="TICKETING")
    for _ in range(MAX_FAILURES + 5):
        (message,) = await subscription.fetch(1, 5)
        await message.nak()
    async with running_replica(nats_url, database, {PaymentFailed: inbox}):
        await wait_until_handled(inbox, sent)
    assert inbox.calls == 3
    assert await letters.count() == 0


async def test_event_becomes_a_dead_letter_after_fifteen_failures_over_all_replicas(
    bus, database, letters, nats_url, monkeypatch
):
    monkeypatch.setattr(listener_module, "redelivery_delay", lambda _: 0.01)
    one, other = (Inbox(*[EarlierEventMissing("v1")] * 50) for _ in range(2))
    async with (
        running_replica(nats_url, database, {PaymentFailed: one}),
        running_replica(nats_url, database, {PaymentFailed: other}),
    ):
        await publish_failed(bus)
        await wait_until(letters.count)
    assert one.calls + other.calls == MAX_FAILURES


async def test_event_that_is_not_due_is_redelivered_when_it_is(bus, database, letters, nats_url):
    due_at = now() + timedelta(seconds=1.5)
    inbox = Inbox(NotDueYet(due_at))
    async with running_replica(nats_url, database, {PaymentFailed: inbox}):
        await wait_until_handled(inbox, await publish_failed(bus))
        assert now() >= due_at
        assert await count_deliveries(bus) == 2


async def test_change_rejected_for_the_moment_does_not_count_as_a_failure(
    bus, database, letters, nats_url, monkeypatch
):
    monkeypatch.setattr(listener_module, "_randomised", lambda _: 0.05)
    inbox = Inbox(*[Unavailable()] * (MAX_FAILURES + 1))
    async with running_replica(nats_url, database, {PaymentFailed: inbox}):
        await wait_until_handled(inbox, await publish_failed(bus), 40)
    assert await letters.count() == 0
