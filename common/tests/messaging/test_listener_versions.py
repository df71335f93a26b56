"""Versions of a service that run side by side and consume different subjects."""

import asyncio

import pytest
from nats.js.api import ConsumerConfig

from ticketing_common.messaging import listener as listener_module
from ticketing_common.messaging.consumer import Consumer
from ticketing_common.messaging.listener import Handlers
from ticketing_common.testing import wait_until
from ticketing_common.values.events import PaymentFailed, PaymentRefunded

from .replicas import (
    Inbox,
    consumed_subjects,
    consumes,
    publish_failed,
    publish_refunded,
    running_replica,
    wait_until_acknowledged,
    wait_until_handled,
)

BOTH = {"payment.failed", "payment.refunded"}


@pytest.fixture
def measure_often(monkeypatch):
    monkeypatch.setattr(listener_module, "_MEASURE_EVERY", 0.1)


@pytest.mark.parametrize("new_starts_first", [False, True])
async def test_no_event_is_lost_while_two_versions_run_side_by_side(
    bus, database, letters, nats_url, new_starts_first
):
    failed, refunded = Inbox(), Inbox()
    old: Handlers = {PaymentFailed: failed}
    new: Handlers = {PaymentFailed: failed, PaymentRefunded: refunded}
    sent_failed: set[str] = set()
    sent_refunded: set[str] = set()

    async def publish_load(rounds):
        for _ in range(rounds):
            sent_failed.update(await publish_failed(bus, 5))
            sent_refunded.update(await publish_refunded(bus, 5))
            await asyncio.sleep(0.01)

    first, second = (new, old) if new_starts_first else (old, new)
    async with running_replica(nats_url, database, first), running_replica(nats_url, database, second):
        await publish_load(10)
        async with running_replica(nats_url, database, old):  # an old pod restarts during the rollout
            await publish_load(10)
        await wait_until_handled(failed, sent_failed)
        await wait_until_handled(refunded, sent_refunded)
    assert await consumed_subjects(bus) == BOTH
    assert await letters.count() == 0


async def test_events_of_an_unknown_subject_block_no_others_and_are_kept_for_a_version_that_consumes_them(
    bus, database, letters, nats_url
):
    failed, refunded = Inbox(), Inbox()
    async with running_replica(nats_url, database, {PaymentRefunded: refunded}):
        pass
    unknown = await publish_refunded(bus, 150)
    async with running_replica(nats_url, database, {PaymentFailed: failed}):
        await wait_until_handled(failed, await publish_failed(bus, 20))
        await asyncio.sleep(1)
        assert await bus.pending_count("orders") == 150
        both: Handlers = {PaymentFailed: failed, PaymentRefunded: refunded}
        async with running_replica(nats_url, database, both):
            await wait_until_handled(refunded, unknown)
    assert await letters.count() == 0


@pytest.mark.usefixtures("measure_often")
async def test_subject_removed_by_the_first_versions_is_added_again(bus, database, nats_url):
    """The first versions overwrite the filter with their own when they start."""
    failed, refunded = Inbox(), Inbox()
    async with running_replica(nats_url, database, {PaymentFailed: failed, PaymentRefunded: refunded}):
        await wait_until_handled(failed, await publish_failed(bus))
        await bus.js.add_consumer(
            "TICKETING",
            ConsumerConfig(durable_name="orders", filter_subjects=["payment.failed"], max_deliver=-1),
        )
        await wait_until(lambda: consumes(bus, *BOTH))
        await wait_until_handled(refunded, await publish_refunded(bus))


@pytest.mark.usefixtures("measure_often")
async def test_events_of_a_removed_subject_are_acknowledged_by_versions_that_do_not_consume_it(
    bus, database, nats_url
):
    failed = Inbox()
    await Consumer(bus, "orders", BOTH).ensure()
    await publish_refunded(bus, 5)
    async with running_replica(nats_url, database, {PaymentFailed: failed}):
        await wait_until_handled(failed, await publish_failed(bus))
        assert await bus.pending_count("orders") == 5
        assert await Consumer(bus, "orders", ()).remove(["payment.refunded"]) == {"payment.failed"}
        await wait_until_acknowledged(bus)
    assert await consumed_subjects(bus) == {"payment.failed"}
