"""The queries of the payments service, held against the real planner."""

import asyncio
from datetime import timedelta
from functools import partial

from payment_cases import AUTHORISED

from payments.models import Payment, begin, follow_order, note, observe
from payments.repository import Payments
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.storage.outbox import Outbox
from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now
from ticketing_common.values.ids import new_id


async def add(payments, orders):
    for order_id in orders:
        payment = Payment(
            id=new_id(), order_id=order_id, user_id="b", amount_cents=100, expires_at=now().replace(year=2100)
        )
        await payments.add(payment)


async def test_every_query_reads_an_index(payments, database):
    orders = [new_id() for _ in range(20)]
    await add(payments, orders)
    await payments.change(orders[3], lambda p: note(begin(p, "b", now()), "pi_1"))
    await payments.change(orders[3], partial(observe, seen=AUTHORISED))
    await payments.change(orders[3], lambda p: follow_order(p, 1, "complete"))
    for n in range(20):
        await payments.remember(f"evt_{n}")
    await database.command("profile", 2)
    payment = await payments.of_order(orders[3])
    assert await payments.of_intent("pi_1") == payment
    assert await payments.of_orders([orders[3]]) == {orders[3]: payment}
    assert await payments.claim_due("replica") == payment
    await payments.renew_leases([payment.id], "replica")
    await payments.release(payment.id, "replica")
    assert await payments.due_longest() == payment.due_since
    assert await payments.remembers("evt_7")
    assert await payments.page("0", payment.id, 1)
    await database.command("profile", 0)
    queries = await database["system.profile"].find({"planSummary": {"$exists": True}}).to_list(99)
    assert len(queries) == 9
    for query in queries:
        assert query["planSummary"] != "COLLSCAN", query["command"]
        assert query["docsExamined"] == 1


async def make_due(payments, count):
    """Payments that are due, the longest waiting first."""
    orders = [new_id() for _ in range(count)]
    await add(payments, orders)
    for n, order_id in enumerate(orders):
        at = now() - timedelta(seconds=count - n)
        await payments.change(order_id, lambda p, at=at: p.evolve(settle_at=at))
    return [await payments.of_order(order_id) for order_id in orders]


async def test_what_is_due_longest_is_claimed_first_and_what_is_not_due_yet_is_not_claimed(payments):
    first, second, later = await make_due(payments, 3)
    await payments.change(later.order_id, lambda p: p.evolve(settle_at=now() + timedelta(seconds=9)))
    assert [await payments.claim_due("replica") for _ in range(3)] == [first, second, None]


async def test_replicas_that_claim_at_once_get_different_payments(payments):
    due = await make_due(payments, 20)
    claimed = await asyncio.gather(*(payments.claim_due(f"replica {n % 3}") for n in range(25)))
    assert sorted(p.id for p in claimed if p) == [p.id for p in due]


async def test_a_payment_is_claimed_again_when_its_lease_is_released_or_over(payments, monkeypatch):
    (due,) = await make_due(payments, 1)
    assert await payments.claim_due("one") == due
    await payments.release(due.id, "two")
    assert await payments.claim_due("two") is None
    await payments.release(due.id, "one")
    monkeypatch.setattr("payments.repository.LEASE", timedelta(seconds=0.3))
    assert await payments.claim_due("two") == due
    assert await wait_until(lambda: payments.claim_due("one")) == due


async def test_a_lease_is_renewed_by_its_holder_only(payments, monkeypatch):
    (due,) = await make_due(payments, 1)
    monkeypatch.setattr("payments.repository.LEASE", timedelta(0))
    await payments.claim_due("one")
    monkeypatch.undo()
    await payments.renew_leases([due.id], "two")
    assert await payments.claim_due("one") == due
    monkeypatch.setattr("payments.repository.LEASE", timedelta(0))
    await payments.renew_leases([due.id], "one")
    assert await payments.claim_due("two") == due


async def test_a_lease_leaves_the_payment_and_its_version_to_other_writers(payments):
    (due,) = await make_due(payments, 1)
    await payments.claim_due("one")
    after = await payments.change(due.order_id, lambda p: follow_order(p, 1, "cancelled"))
    assert after.version == due.version + 1
    assert await payments.claim_due("two") is None


async def test_a_page_ends_where_it_was_told_to(payments):
    orders = [new_id() for _ in range(6)]
    await add(payments, orders)
    first, second, third, *_, last = [(await payments.of_order(order_id)).id for order_id in orders]
    assert [p.id for p in await payments.page(first, last, 2)] == [second, third]
    assert [p.id for p in await payments.page(first, third, 9)] == [second]


async def test_after_a_start_all_that_was_put_off_is_open(payments, database):
    orders = [new_id() for _ in range(20)]
    await add(payments, orders)
    await payments.change(orders[0], lambda p: p.evolve(settle_at=now() + timedelta(seconds=60)))
    assert await payments.claim_due("replica") is None
    await database.command("profile", 2)
    await payments.open_all()
    await database.command("profile", 0)
    assert (await payments.claim_due("replica")).order_id == orders[0]
    (update,) = await database["system.profile"].find({"op": "update"}).to_list(9)
    assert (update["planSummary"], update["docsExamined"]) == ("IXSCAN { settle_at: 1 }", 1)


async def test_a_start_leaves_what_another_replica_has_leased(payments):
    (due,) = await make_due(payments, 1)
    await payments.claim_due("another")
    later = now() + timedelta(seconds=60)
    await payments.change(due.order_id, lambda p: p.evolve(settle_at=later))
    await payments.open_all()
    assert (await payments.of_order(due.order_id)).settle_at == later


async def test_an_event_of_stripe_is_forgotten_after_a_week(database, bus):
    payments = Payments(database, Outbox(), Arrivals(bus))
    await payments.ensure_indexes()
    indexes = await database["stripe_events"].index_information()
    assert indexes["at_1"]["expireAfterSeconds"] == 7 * 24 * 3600
