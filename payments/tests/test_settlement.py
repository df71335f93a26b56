"""Several replicas settle what is due: each payment once, whatever becomes of another payment or replica."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest
from payment_cases import UNPAID

from payments import settlement
from payments.models import begin, follow_order, note, observe
from payments.repository import Payments
from payments.stripe_api import StripeApi
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.storage.outbox import Outbox
from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now
from ticketing_common.values.ids import new_id

CAPTURE = "POST /v1/payment_intents/{id}/capture"

pytestmark = pytest.mark.usefixtures("_mended")


@pytest.fixture
async def stripe(stripe_api):
    stripe = StripeApi(stripe_api.key, stripe_api.url)
    yield stripe
    await stripe.close()


@pytest.fixture
def make_due(payments, stripe):
    async def make_due(count):
        """Payments that are authorised at Stripe, and whose orders are complete."""
        return [await _make_due(payments, stripe) for _ in range(count)]

    return make_due


async def _make_due(payments, stripe):
    order_id, at = new_id(), now()
    await payments.add(UNPAID.evolve(id=new_id(), order_id=order_id, expires_at=at + timedelta(minutes=15)))
    payment = await payments.change(order_id, lambda p: begin(p, p.user_id, at))
    intent = await stripe.create(payment)
    await payments.change(order_id, partial(note, stripe_id=intent.stripe_id))
    seen = await stripe.confirm(intent.stripe_id, "pm_card_visa")
    await payments.change(order_id, partial(observe, seen=seen))
    return await payments.change(order_id, partial(follow_order, version=1, status="complete"))


@pytest.fixture
def replica(database, bus, stripe_api):
    """Settles what is due, as a process of its own would."""

    @asynccontextmanager
    async def replica():
        stripe, stopping = StripeApi(stripe_api.key, stripe_api.url), asyncio.Event()
        running = asyncio.create_task(settlement.run(Payments(database, Outbox(), Arrivals(bus)), stripe, stopping))
        try:
            yield running
        finally:
            stopping.set()
            await asyncio.gather(running, return_exceptions=True)
            await stripe.close()

    return replica


async def until_captured(payments, due):
    async def captured():
        return all([(await payments.of_order(p.order_id)).status == "captured" for p in due])

    await wait_until(captured)


@pytest.mark.parametrize(
    "unreadable", [{"status": "of a later release"}, {"amount_cents": "of another type"}]
)
async def test_payment_that_this_version_cannot_read_holds_no_other_up(
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
    assert await payments.claim_due("this version") is None
    assert "lease" not in await database["payments"].find_one({"_id": newer.id})


async def test_payment_that_a_later_version_changes_during_its_settlement_does_not_end_the_others(
    payments, database, make_due, replica, stripe_api
):
    stripe_api.fault(kind="delay", seconds=1, operation=CAPTURE)
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
    stripe_api.fault(kind="delay", seconds=1.5, operation=CAPTURE)
    async with replica(), replica():
        await until_captured(payments, due)
    assert stripe_api.count_struck() == len(due)


async def test_a_settlement_that_takes_longer_than_a_lease_is_not_begun_by_another_replica(
    payments, make_due, replica, stripe_api, monkeypatch
):
    monkeypatch.setattr("payments.repository.LEASE", timedelta(seconds=1))
    monkeypatch.setattr("payments.settlement._EVERY", 0.2)
    due = await make_due(1)
    stripe_api.fault(kind="delay", seconds=2.5, operation=CAPTURE)
    async with replica(), replica():
        await until_captured(payments, due)
    assert stripe_api.count_struck() == 1


async def test_the_payments_of_a_replica_that_was_killed_are_settled_by_another(
    payments, make_due, replica, stripe_api
):
    due = await make_due(2)
    stripe_api.fault(kind="delay", seconds=3, operation=CAPTURE, times=2)
    async with replica() as killed, replica():
        await wait_until(lambda: asyncio.sleep(0, stripe_api.count_struck() == 2))
        killed.cancel()
        await until_captured(payments, due)


async def test_a_stop_finishes_what_is_in_hand_and_releases_the_leases(
    payments, make_due, replica, stripe_api, database
):
    due = await make_due(2)
    stripe_api.fault(kind="delay", seconds=0.5, operation=CAPTURE)
    async with replica():
        await wait_until(lambda: asyncio.sleep(0, stripe_api.count_struck() == 2))
    assert [(await payments.of_order(p.order_id)).status for p in due] == ["captured"] * 2
    assert await database["payments"].count_documents({"lease": {"$exists": True}}) == 0


async def test_a_payment_that_breaks_the_settlement_is_put_off_and_does_not_end_it(
    payments, make_due, replica
):
    broken = UNPAID.evolve(id=new_id(), order_id=new_id(), expires_at=now(), status="begun", settle_at=now())
    await payments.add(broken)  # it never asked for an intent, so there is no time from which to look for it
    due = await make_due(1)
    async with replica() as running:
        await until_captured(payments, due)

        async def put_off():
            return (await payments.of_order(broken.order_id)).failures

        await wait_until(put_off)
        assert not running.done()
