"""The durable consumer of a service: versions add their subjects to its filter, and none removes any."""

import asyncio
from dataclasses import replace

import pytest
from nats.js.api import ConsumerConfig

from ticketing_common.messaging.bus import ConsumerExists
from ticketing_common.messaging.consumer import Consumer, subjects_of

from .replicas import consumed_subjects


async def test_consumer_created_by_two_versions_concurrently_has_the_subjects_of_both(bus):
    subjects = ["order.1"] * 4 + ["order.2"] * 4
    await asyncio.gather(*(Consumer(bus, "orders", [subject]).ensure() for subject in subjects))
    assert await consumed_subjects(bus) == set(subjects)


async def test_subject_overwritten_by_another_version_is_added_by_the_next_check(bus):
    """NATS has no compare-and-set for a filter: if three versions add a subject at once, one may be lost."""
    consumers = [Consumer(bus, "orders", [f"order.{n}"]) for n in range(8)]
    await asyncio.gather(*(consumer.ensure() for consumer in consumers))
    for consumer in consumers:  # the next check of each
        await consumer.ensure()
    assert await consumed_subjects(bus) == {f"order.{n}" for n in range(8)}


async def test_consumer_of_an_old_version_gets_the_current_settings_and_keeps_its_subjects(bus):
    old = ConsumerConfig(
        durable_name="orders", filter_subjects=["order.old"], ack_wait=9.0, max_ack_pending=1_000
    )
    await bus.js.add_consumer("TICKETING", old)
    await Consumer(bus, "orders", ["order.new"]).ensure()
    config = (await bus.js.consumer_info("TICKETING", "orders")).config
    assert (config.ack_wait, config.max_ack_pending) == (2.0, -1)
    assert subjects_of(config) == {"order.old", "order.new"}


async def test_creating_a_consumer_does_not_overwrite_one_of_another_version(bus):
    existing = ConsumerConfig(durable_name="test", filter_subjects=["order.created"])
    await bus.create_consumer(existing)
    await bus.create_consumer(existing)
    with pytest.raises(ConsumerExists):
        await bus.create_consumer(replace(existing, filter_subjects=["order.cancelled"]))
    config = (await bus.js.consumer_info("TICKETING", "test")).config
    assert config.filter_subjects == ["order.created"]
