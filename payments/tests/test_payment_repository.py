"""The queries of the payments service, checked with MongoDB's query planner."""

import asyncio
from datetime import timedelta
from functools import partial

from payment_cases import AUTHORISED

from payments.payment.models import Payment, apply_intent, apply_order_event, record_intent, start_attempt
from payments.payment.use_cases import change_payment
from payments.webhooks.repository import ProcessedEvents
from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now
from ticketing_common.values.ids import new_id


async def add(payments, orders):
    for order_id in orders:
        payment = Payment(
            id=new_id(), order_id=order_id, user_id="b", amount_cents=100, expires_at=now().replace(year=2100)
        )
        await payments.add(payment)


async def test_every_query_uses_an_index(payments, database):
    processed_events = ProcessedEvents(database)
    await processed_events.ensure_indexes()
    orders = [new_id() for _ in range(20)]
    await add(payments, orders)
    await change_payment(payments, orders[3], lambda p: record_intent(start_attempt(p, "b", now()), "pi_1"))
    await change_payment(payments, orders[3], partial(apply_intent, intent=AUTHORISED))
    await change_payment(payments, orders[3], lambda p: apply_order_event(p, 1, "complete"))
    for n in range(20):
        await processed_events.add(f"evt_{n}")
    await database.command("profile", 2)
    payment = await payments.get_by_order(orders[3])
    assert await payments.find_by_intent("pi_1") == payment
    assert await payments.find_by_orders([orders[3]]) == {orders[3]: payment}
    assert await payments.lease_due("replica") == payment
    await payments.renew_leases([payment.id], "replica")
    await payments.release_lease(payment.id, "replica")
    assert await payments.find_oldest_due() == payment.due_since
    assert await processed_events.contains("evt_7")
    assert await payments.page("0", payment.id, 1)
    await database.command("profile", 0)
    queries = await database["system.profile"].find({"planSummary": {"$exists": True}}).to_list(99)
    assert len(queries) == 9
    for query in queries:
        assert query["planSummary"] != "COLLSCAN", query["command"]
        assert query["docsExamined"] == 1


async def make_due(payments, count):
    """Payments that are due, oldest first."""
    orders = [new_id() for _ in range(count)]
    await add(payments, orders)
    for n, order_id in enumerate(orders):
        at = now() - timedelta(seconds=count - n)
        await change_payment(payments, order_id, partial(Payment.evolve, settle_at=at))
    return [await payments.get_by_order(order_id) for order_id in orders]


async def test_oldest_due_payment_is_leased_first_and_one_that_is_not_due_is_not_leased(payments):
    first, second, later = await make_due(payments, 3)
    await change_payment(payments, later.order_id, lambda p: p.evolve(settle_at=now() + timedelta(seconds=9)))
    assert [await payments.lease_due("replica") for _ in range(3)] == [first, second, None]


async def test_concurrent_replicas_lease_different_payments(payments):
    due = await make_due(payments, 20)
    leased = await asyncio.gather(*(payments.lease_due(f"replica {n % 3}") for n in range(25)))
    assert sorted(p.id for p in leased if p) == [p.id for p in due]


async def test_payment_is_leased_again_when_its_lease_is_released_or_expired(payments, monkeypatch):
    (due,) = await make_due(payments, 1)
    assert await payments.lease_due("one") == due
    await payments.release_lease(due.id, "two")
    assert await payments.lease_due("two") is None
    await payments.release_lease(due.id, "one")
    monkeypatch.setattr("payments.payment.repository.LEASE", timedelta(seconds=0.3))
    assert await payments.lease_due("two") == due
    assert await wait_until(lambda: payments.lease_due("one")) == due


async def test_only_the_holder_renews_a_lease(payments, monkeypatch):
    (due,) = await make_due(payments, 1)
    monkeypatch.setattr("payments.payment.repository.LEASE", timedelta(0))
    await payments.lease_due("one")
    monkeypatch.undo()
    await payments.renew_leases([due.id], "two")
    assert await payments.lease_due("one") == due
    monkeypatch.setattr("payments.payment.repository.LEASE", timedelta(0))
    await payments.renew_leases([due.id], "one")
    assert await payments.lease_due("two") == due


async def test_lease_does_not_prevent_other_changes(payments):
    (due,) = await make_due(payments, 1)
    await payments.lease_due("one")
    after = await change_payment(payments, due.order_id, lambda p: apply_order_event(p, 1, "cancelled"))
    assert after.version == due.version + 1
    assert await payments.lease_due("two") is None


async def test_page_ends_at_its_limit_or_its_last_id(payments):
    orders = [new_id() for _ in range(6)]
    await add(payments, orders)
    first, second, third, *_, last = [(await payments.get_by_order(order_id)).id for order_id in orders]
    assert [p.id for p in await payments.page(first, last, 2)] == [second, third]
    assert [p.id for p in await payments.page(first, third, 9)] == [second]


async def test_postponed_payments_can_be_made_due(payments, database):
    orders = [new_id() for _ in range(20)]
    await add(payments, orders)
    await change_payment(payments, orders[0], lambda p: p.evolve(settle_at=now() + timedelta(seconds=60)))
    assert await payments.lease_due("replica") is None
    await database.command("profile", 2)
    await payments.make_all_due()
    await database.command("profile", 0)
    assert (await payments.lease_due("replica")).order_id == orders[0]
    (update,) = await database["system.profile"].find({"op": "update"}).to_list(9)
    assert (update["planSummary"], update["docsExamined"]) == ("IXSCAN { settle_at: 1 }", 1)


async def test_payment_leased_by_another_replica_is_not_made_due(payments):
    (due,) = await make_due(payments, 1)
    await payments.lease_due("another")
    later = now() + timedelta(seconds=60)
    await change_payment(payments, due.order_id, lambda p: p.evolve(settle_at=later))
    await payments.make_all_due()
    assert (await payments.get_by_order(due.order_id)).settle_at == later


async def test_processed_event_is_forgotten_after_a_week(database):
    await ProcessedEvents(database).ensure_indexes()
    indexes = await database["stripe_events"].index_information()
    assert indexes["at_1"]["expireAfterSeconds"] == 7 * 24 * 3600


async def test_renamed_fields_keep_their_stored_names(payments, database):
    """The previous version runs beside this one during a rollout."""
    (order_id,) = orders = [new_id()]
    await add(payments, orders)
    document = await database["payments"].find_one({"order_id": order_id})
    assert document.keys() >= {"told", "begun_at", "key_no"}
    assert document.keys().isdisjoint(Payment.stored_names)
