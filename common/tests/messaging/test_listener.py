"""The listener: hands each event to its handler, and stores messages that do not parse as dead letters."""

import asyncio

from ticketing_common.messaging import listener as listener_module
from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now
from ticketing_common.values.events import PaymentFailed

from .replicas import Inbox, publish_failed, read_all, running_replica, wait_until_handled
from .samples import wait_for_sample


async def test_backlog_is_consumed_by_two_replicas_each_event_once(bus, database, letters, nats_url):
    one, other = Inbox(), Inbox()
    sent = await publish_failed(bus, 400)

    async def is_handled():
        return {*one.orders, *other.orders} == sent

    async with (
        running_replica(nats_url, database, {PaymentFailed: one}),
        running_replica(nats_url, database, {PaymentFailed: other}),
    ):
        await wait_until(is_handled, 60)
    assert len(one.orders) + len(other.orders) == len(sent)
    assert await letters.count() == 0


async def test_message_that_does_not_parse_becomes_a_dead_letter_and_blocks_no_other(
    bus, database, letters, nats_url
):
    inbox = Inbox()
    async with running_replica(nats_url, database, {PaymentFailed: inbox}):
        await bus.publish_raw("payment.failed", b"\xff{ no event")
        (order_id,) = sent = await publish_failed(bus)
        await wait_until_handled(inbox, sent)
        (letter,) = await wait_until(lambda: read_all(letters))
    assert inbox.orders == [order_id]
    assert (letter.subject, letter.data, letter.reason) == (
        "payment.failed",
        b"\xff{ no event",
        "does not parse",
    )


async def test_detail_of_a_message_that_does_not_parse_does_not_contain_its_values(
    bus, database, letters, nats_url
):
    async with running_replica(nats_url, database, {PaymentFailed: Inbox()}):
        await bus.publish_raw("payment.failed", b'{"orderId": {"a value": 1}, "code": "another value"}')
        (letter,) = await wait_until(lambda: read_all(letters))
    assert "orderId" in letter.detail
    assert "value" not in letter.detail


async def test_waiting_events_and_dead_letters_are_measured(bus, database, letters, nats_url, monkeypatch):
    monkeypatch.setattr(listener_module, "_MEASURE_EVERY", 0.05)
    release = asyncio.Event()
    letter = {"_id": "1", "subject": "payment.failed", "data": b"{}", "trace": None, "at": now()}
    await database["dead_letters"].insert_one(letter | {"reason": "its handler failed", "detail": ""})

    async def wait_for_release(_event, _repository):
        await release.wait()

    async with running_replica(nats_url, database, {PaymentFailed: wait_for_release}):
        await wait_for_sample("ticketing_dead_letters_kept", 1)
        await publish_failed(bus, 2)
        await wait_for_sample("ticketing_events_waiting", 2)
        release.set()
        await letters.remove("1")
        await wait_for_sample("ticketing_dead_letters_kept", 0)
        await wait_for_sample("ticketing_events_waiting", 0)
