"""Replicas share the due payments; a failing payment or replica does not affect the others."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest
from payment_cases import UNPAID
from stripe_faults import CAPTURE

from payments.payment.models import apply_intent, apply_order_event, new_intent, record_intent, start_attempt
from payments.payment.repository import Payments
from payments.payment.use_cases import change_payment
from payments.settlement import worker
from payments.stripe.client import StripeApi
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.storage.outbox import Outbox
from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now
from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.usefixtures("_mended")


@pytest.fixture
def make_due(payments, stripe):
    async def make_due(count):
        """Authorised payments of complete orders."""
        return [await _make_due(payments, stripe) for _ in range(count)]

    return make_due


async def _make_due(payments, stripe):
    order_id, at = new_id(), now()
    await payments.add(UNPAID.evolve(id=new_id(), order_id=order_id, expires_at=at + timedelta(minutes=15)))
    payment = await change_payment(payments, order_id, lambda p: start_attempt(p, p.user_id, at))
    intent = await stripe.create(new_intent(payment))
    await change_payment(payments, order_id, partial(record_intent, intent_id=intent.id))
    intent = await stripe.confirm(intent.id, "pm_card_visa")
    await change_payment(payments, order_id, partial(apply_intent, intent=intent))
    return await change_payment(payments, order_id, partial(apply_order_event, version=1, status="complete"))


@pytest.fixture
def replica(database, bus, stripe_api):
    """Runs a settlement worker, as another process would."""

    @asynccontextmanager
    async def replica():
        stripe, stopping = StripeApi(stripe_api.key, stripe_api.url), asyncio.Event()
        running = asyncio.create_task(
            worker.run(Payments(database, Outbox(), Arrivals(bus)), stripe, stopping)
        )
        try:
            yield running
        finally:
            stopping.set()
            await asyncio.gather(running, return_exceptions=True)
            await stripe.close()

    return replica


async def until_captured(payments, due):
    async def captured():
        return all([(await payments.get_by_order(p.order_id)).status == "captured" for p in due])

    await wait_until(captured)


@pytest.mark.parametrize(
    "unreadable", [{"status": "of a later release"}, {"amount_cents": "of another type"}]
)
async def test_payment_that_this_version_cannot_read_does_not_delay_others(
    payments, database, make_due, replica, unreadable
):
    (newer,) = await make_due(1)
    long_due = unreadable | {"settle_at": newer.settle_at - timedelta(hours=1)}
    await database["payments"].update_one({"_id": newer.id}, {"$set": long_due})
    due = await make_due(3)
    async with replica() as running:
        await until_captured(payments, due)
        assert not running.done()


async def test_payment_in_a_status_of_a_later_version_is_left_to_that_version(payments, database, make_due):
    (newer,) = await make_due(1)
    await database["payments"].update_one({"_id": newer.id}, {"$set": {"status": "of a later release"}})
    assert await payments.lease_due("this version") is None
    assert "lease" not in await database["payments"].find_one({"_id": newer.id})


async def test_payment_changed_by_a_later_version_during_its_settlement_does_not_stop_the_worker(
    payments, database, make_due, replica, stripe_api
):
    stripe_api.add_fault(kind="delay", seconds=1, operation=CAPTURE)
    (changed,) = await make_due(1)
    async with replica() as running:
        await wait_until(lambda: is_leased(database, changed))
        await database["payments"].update_one({"_id": changed.id}, {"$set": {"status": "of a later release"}})
        await until_captured(payments, await make_due(3))
        await asyncio.sleep(1)
        assert not running.done()


async def is_leased(database, payment):
    return "lease" in await database["payments"].find_one({"_id": payment.id})


async def test_replicas_settle_each_payment_once(payments, make_due, replica, stripe_api):
    due = await make_due(10)
    stripe_api.add_fault(kind="delay", seconds=1.5, operation=CAPTURE)
    async with replica(), replica():
        await until_captured(payments, due)
    assert stripe_api.count_struck_calls() == len(due)


async def test_settlement_that_takes_longer_than_a_lease_is_not_started_by_another_replica(
    payments, make_due, replica, stripe_api, monkeypatch
):
    monkeypatch.setattr("payments.payment.repository.LEASE", timedelta(seconds=1))
    monkeypatch.setattr("payments.settlement.worker._INTERVAL", 0.2)
    due = await make_due(1)
    stripe_api.add_fault(kind="delay", seconds=2.5, operation=CAPTURE)
    async with replica(), replica():
        await until_captured(payments, due)
    assert stripe_api.count_struck_calls() == 1


async def test_payments_of_a_killed_replica_are_settled_by_another(payments, make_due, replica, stripe_api):
    due = await make_due(2)
    stripe_api.add_fault(kind="delay", seconds=3, operation=CAPTURE, times=2)
    async with replica() as killed, replica():
        await wait_until(lambda: asyncio.sleep(0, stripe_api.count_struck_calls() == 2))
        killed.cancel()
        await until_captured(payments, due)


async def test_worker_finishes_its_settlements_and_releases_its_leases_when_stopped(
    payments, make_due, replica, stripe_api, database
):
    due = await make_due(2)
    stripe_api.add_fault(kind="delay", seconds=0.5, operation=CAPTURE)
    async with replica():
        await wait_until(lambda: asyncio.sleep(0, stripe_api.count_struck_calls() == 2))
    assert [(await payments.get_by_order(p.order_id)).status for p in due] == ["captured"] * 2
    assert await database["payments"].count_documents({"lease": {"$exists": True}}) == 0


async def test_payment_that_raises_an_error_is_postponed_and_does_not_stop_the_worker(
    payments, make_due, replica
):
    broken = UNPAID.evolve(id=new_id(), order_id=new_id(), expires_at=now(), status="begun", settle_at=now())
    await payments.add(broken)  # without the time from which to search for its intent
    due = await make_due(1)
    async with replica() as running:
        await until_captured(payments, due)

        async def is_postponed():
            return (await payments.get_by_order(broken.order_id)).failures

        await wait_until(is_postponed)
        assert not running.done()
