"""Consuming events while versions run side by side, handlers fail, and stores are down."""

import asyncio
import signal
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import pytest_asyncio
from nats.js.api import ConsumerConfig
from pymongo.errors import ConnectionFailure

from ticketing_common.messaging import listener as listening
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus, open_bus
from ticketing_common.messaging.consumer import Consumer, subjects_of
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.messaging.listener import MAX_FAILURES, Listener
from ticketing_common.storage.mongo import connect
from ticketing_common.testing import wait_until
from ticketing_common.testing.servers import free_port, freeze, mongod, nats_server, running
from ticketing_common.values.aggregate import EarlierEventMissing, NotDueYet
from ticketing_common.values.clock import now
from ticketing_common.values.errors import Unavailable
from ticketing_common.values.events import PaymentFailed, PaymentRefunded
from ticketing_common.values.ids import new_id

BOTH = {"payment.failed", "payment.refunded"}


class Inbox:
    """A handler that records the orders of the events that it gets, and can raise first."""

    def __init__(self, *errors: Exception) -> None:
        self.orders: list[str] = []
        self.calls = 0
        self._errors = list(errors)

    async def __call__(self, event, _repository: object) -> None:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        self.orders.append(event.order_id)


@asynccontextmanager
async def listener(url, database, handlers):
    """A replica of the service `orders` that follows these events."""
    async with open_bus(url, "orders") as bus:
        stopping = asyncio.Event()
        replica = Listener(bus, "orders", handlers, None, DeadLetters(database))
        task = asyncio.create_task(replica.run(stopping))
        try:
            await wait_until(lambda: is_followed(bus, *(kind.subject for kind in handlers)))
            yield
        finally:
            stopping.set()
            await asyncio.wait_for(task, 15)


@pytest_asyncio.fixture
async def letters(database):
    return DeadLetters(database)


@pytest.fixture
def measured_often(monkeypatch):
    monkeypatch.setattr(listening, "_MEASURE_EVERY", 0.1)


async def followed(bus):
    return subjects_of((await bus.js.consumer_info("TICKETING", "orders")).config)


async def is_followed(bus, *subjects):
    try:
        return await followed(bus) >= set(subjects)
    except NATS_UNAVAILABLE:
        return False


async def deliveries(bus):
    return (await bus.js.consumer_info("TICKETING", "orders")).delivered.consumer_seq


async def publish_failed(bus, count=1):
    return await publish(bus, [PaymentFailed(order_id=new_id(), code="declined") for _ in range(count)])


async def publish_refunded(bus, count=1):
    return await publish(
        bus, [PaymentRefunded(id=new_id(), version=0, order_id=new_id()) for _ in range(count)]
    )


async def publish(bus, events):
    for start in range(0, len(events), 50):
        await asyncio.gather(*(bus.publish(event) for event in events[start : start + 50]))
    return {event.order_id for event in events}


async def receives(inbox, orders, seconds=60.0):
    async def all_of_them():
        return set(inbox.orders) >= orders

    await wait_until(all_of_them, seconds)


@pytest.mark.parametrize("new_starts_first", [False, True])
async def test_nothing_is_lost_while_two_versions_run_side_by_side(
    bus, database, letters, nats_url, new_starts_first
):
    failed, refunded = Inbox(), Inbox()
    old, new = {PaymentFailed: failed}, {PaymentFailed: failed, PaymentRefunded: refunded}
    sent_failed, sent_refunded = set(), set()

    async def publish_load(rounds):
        for _ in range(rounds):
            sent_failed.update(await publish_failed(bus, 5))
            sent_refunded.update(await publish_refunded(bus, 5))
            await asyncio.sleep(0.01)

    first, second = (new, old) if new_starts_first else (old, new)
    async with listener(nats_url, database, first), listener(nats_url, database, second):
        await publish_load(10)
        async with listener(nats_url, database, old):  # an old pod that is restarted in the middle of it
            await publish_load(10)
        await receives(failed, sent_failed)
        await receives(refunded, sent_refunded)
    assert await followed(bus) == BOTH
    assert await letters.count() == 0


async def test_events_of_an_unknown_subject_block_nothing_until_a_version_that_follows_it_comes(
    bus, database, letters, nats_url
):
    failed, refunded = Inbox(), Inbox()
    async with listener(nats_url, database, {PaymentRefunded: refunded}):
        pass
    many = await publish_refunded(bus, 150)
    async with listener(nats_url, database, {PaymentFailed: failed}):
        await receives(failed, await publish_failed(bus, 20))
        await asyncio.sleep(1)
        assert await bus.pending_count("orders") == 150
        async with listener(nats_url, database, {PaymentFailed: failed, PaymentRefunded: refunded}):
            await receives(refunded, many)
    assert await letters.count() == 0


async def test_filter_that_was_narrowed_is_restored(bus, database, nats_url):
    """As the first versions do, which write their own filter when they start."""
    failed, refunded = Inbox(), Inbox()
    async with listener(nats_url, database, {PaymentFailed: failed, PaymentRefunded: refunded}):
        await receives(failed, await publish_failed(bus))
        await bus.js.add_consumer(
            "TICKETING",
            ConsumerConfig(durable_name="orders", filter_subjects=["payment.failed"], max_deliver=-1),
        )
        await wait_until(lambda: is_followed(bus, *BOTH))
        await receives(refunded, await publish_refunded(bus))


async def test_two_versions_that_create_the_consumer_at_once_both_find_their_subjects_in_it(bus):
    subjects = ["order.1"] * 4 + ["order.2"] * 4
    await asyncio.gather(*(Consumer(bus, "orders", [subject]).ensure() for subject in subjects))
    assert await followed(bus) == set(subjects)


async def test_a_subject_that_another_version_overwrote_is_added_by_the_next_check(bus):
    """NATS cannot compare and set a filter, so of three versions that widen it at once one may lose."""
    consumers = [Consumer(bus, "orders", [f"order.{n}"]) for n in range(8)]
    await asyncio.gather(*(consumer.ensure() for consumer in consumers))
    for consumer in consumers:  # the next check of each
        await consumer.ensure()
    assert await followed(bus) == {f"order.{n}" for n in range(8)}


async def test_consumer_of_an_old_version_gets_the_present_settings_and_keeps_its_subjects(bus):
    old = ConsumerConfig(
        durable_name="orders", filter_subjects=["order.old"], ack_wait=9.0, max_ack_pending=1_000
    )
    await bus.js.add_consumer("TICKETING", old)
    await Consumer(bus, "orders", ["order.new"]).ensure()
    config = (await bus.js.consumer_info("TICKETING", "orders")).config
    assert (config.ack_wait, config.max_ack_pending) == (2.0, -1)
    assert subjects_of(config) == {"order.old", "order.new"}


@pytest.mark.parametrize("error", [RuntimeError("a bug"), EarlierEventMissing("v1")], ids=["failed", "early"])
async def test_deliveries_without_a_failure_bring_no_event_nearer_to_a_dead_letter(
    bus, database, letters, nats_url, error
):
    """As deliveries to another version, to a process that was frozen, or just before an outage."""
    inbox = Inbox(error, error)
    await Consumer(bus, "orders", ["payment.failed"]).ensure()
    sent = await publish_failed(bus)
    subscription = await bus.js.pull_subscribe_bind(durable="orders", stream="TICKETING")
    for _ in range(MAX_FAILURES + 5):
        (message,) = await subscription.fetch(1, 5)
        await message.nak()
    async with listener(nats_url, database, {PaymentFailed: inbox}):
        await receives(inbox, sent)
    assert inbox.calls == 3
    assert await letters.count() == 0


async def test_event_is_a_dead_letter_after_fifteen_failures_at_all_replicas_together(
    bus, database, letters, nats_url, monkeypatch
):
    monkeypatch.setattr(listening, "redelivery_delay", lambda _: 0.01)
    one, other = (Inbox(*[EarlierEventMissing("v1")] * 50) for _ in range(2))
    async with (
        listener(nats_url, database, {PaymentFailed: one}),
        listener(nats_url, database, {PaymentFailed: other}),
    ):
        await publish_failed(bus)
        await wait_until(letters.count)
    assert one.calls + other.calls == MAX_FAILURES


async def test_event_that_is_not_due_yet_is_delivered_again_when_it_is(bus, database, letters, nats_url):
    due_at = now() + timedelta(seconds=1.5)
    inbox = Inbox(*[NotDueYet(due_at)])
    async with listener(nats_url, database, {PaymentFailed: inbox}):
        await receives(inbox, await publish_failed(bus))
        assert now() >= due_at
        assert await deliveries(bus) == 2


async def test_removed_subject_is_acknowledged_by_versions_that_do_not_follow_it(
    bus, database, nats_url, measured_often
):
    failed = Inbox()
    await Consumer(bus, "orders", BOTH).ensure()
    await publish_refunded(bus, 5)
    async with listener(nats_url, database, {PaymentFailed: failed}):
        await receives(failed, await publish_failed(bus))
        assert await bus.pending_count("orders") == 5
        assert await Consumer(bus, "orders", ()).remove(["payment.refunded"]) == {"payment.failed"}

        async def nothing_waits():
            return await bus.pending_count("orders") == 0

        await wait_until(nothing_waits)
    assert await followed(bus) == {"payment.failed"}


async def test_frozen_mongodb_causes_no_second_delivery(bus, nats_url, tmp_path):
    server = mongod(free_port(), tmp_path)
    with running(server) as process:
        database = connect(f"{server.url}/test")
        calls = []

        async def read(_event, _repository):
            calls.append(1)
            await database["things"].find_one({})

        async with listener(nats_url, database, {PaymentFailed: read}):
            await database["things"].find_one({})
            freeze(process)
            await publish_failed(bus, 3)
            await asyncio.sleep(6.5)  # longer than the acknowledgement and the driver take
            process.send_signal(signal.SIGCONT)

            async def nothing_waits():
                return await bus.pending_count("orders") == 0

            await wait_until(nothing_waits)
            assert await deliveries(bus) == 3
        assert await DeadLetters(database).count() == 0
        database.client.close()


async def test_event_held_by_a_replica_that_does_not_reach_mongodb_is_handled_by_another(
    bus, database, letters, nats_url, monkeypatch
):
    monkeypatch.setattr(listening, "_STORE_TIMEOUT", 0.5)
    cut_off, healthy = Inbox(*[ConnectionFailure("no route")] * 1_000), Inbox()
    async with listener(nats_url, database, {PaymentFailed: cut_off}):
        sent = await publish_failed(bus, 20)  # more than it has in hand at once
        async with listener(nats_url, database, {PaymentFailed: healthy}):
            await receives(healthy, sent)
    assert cut_off.orders == []
    assert await letters.count() == 0


async def test_replica_that_does_not_reach_mongodb_takes_no_more_events(bus, database, nats_url, monkeypatch):
    monkeypatch.setattr(listening, "_STORE_TIMEOUT", 0.5)
    unreachable = connect(f"mongodb://127.0.0.1:{free_port()}/test")
    cut_off, healthy = Inbox(*[ConnectionFailure("no route")] * 1_000), Inbox()
    async with listener(nats_url, unreachable, {PaymentFailed: cut_off}):
        sent = await publish_failed(bus, 20)
        async with listener(nats_url, database, {PaymentFailed: healthy}):
            await receives(healthy, sent)
            calls = cut_off.calls
            await receives(healthy, sent | await publish_failed(bus, 50))
            assert cut_off.calls == calls
    unreachable.client.close()


async def test_change_that_is_refused_for_the_moment_is_no_failure(bus, database, letters, nats_url):
    inbox = Inbox(*[Unavailable()] * (MAX_FAILURES + 1))
    async with listener(nats_url, database, {PaymentFailed: inbox}):
        await receives(inbox, await publish_failed(bus), 40)
    assert await letters.count() == 0


async def test_outage_of_both_stores_makes_no_dead_letter(tmp_path):
    nats, store = nats_server(free_port(), tmp_path), mongod(free_port(), tmp_path)
    inbox = Inbox()
    with running(store) as mongo_process:
        database = connect(f"{store.url}/test")

        async def write(event, repository):
            await database["things"].insert_one({"order": event.order_id})
            await inbox(event, repository)

        with running(nats) as nats_process:
            publisher = Bus(nats.url, "publisher")
            await publisher.connect()
            replica = listener(nats.url, database, {PaymentFailed: write})
            await replica.__aenter__()
            freeze(mongo_process)
            sent = await publish_failed(publisher, 20)
            await asyncio.sleep(0.5)
            nats_process.kill()
            nats_process.wait()
        await asyncio.sleep(3)
        with running(nats):
            mongo_process.send_signal(signal.SIGCONT)
            await receives(inbox, sent)
            await replica.__aexit__(None, None, None)
            await publisher.close()
        assert await DeadLetters(database).count() == 0
        database.client.close()


async def test_backlog_is_consumed_wholly_by_two_replicas(bus, database, letters, nats_url):
    one, other = Inbox(), Inbox()
    sent = await publish_failed(bus, 400)
    async with (
        listener(nats_url, database, {PaymentFailed: one}),
        listener(nats_url, database, {PaymentFailed: other}),
    ):

        async def all_of_them():
            return {*one.orders, *other.orders} == sent

        await wait_until(all_of_them, 60)
    assert len(one.orders) + len(other.orders) == len(sent)
    assert await letters.count() == 0
