"""The queries of the payments service, held against the real planner."""

from datetime import timedelta
from functools import partial

from payment_cases import AUTHORISED

from payments.models import Payment, begin, follow_order, note, observe
from payments.repository import Payments
from ticketing_common.clock import now
from ticketing_common.mongo import new_id
from ticketing_common.outbox import Relay


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
    assert await payments.open(10) == [payment]
    assert await payments.due_longest() == payment.due_since
    assert await payments.remembers("evt_7")
    assert await payments.page("0", payment.id, 1)
    await database.command("profile", 0)
    queries = await database["system.profile"].find({"op": "query"}).to_list(9)
    assert len(queries) == 7
    for query in queries:
        assert query["planSummary"] != "COLLSCAN", query["command"]
        assert query["docsExamined"] == 1


async def test_what_waits_longest_comes_first_and_what_is_not_open_yet_does_not(payments):
    orders = [new_id() for _ in range(4)]
    await add(payments, orders)
    for n, order_id in enumerate(orders[:3]):
        at = now() - timedelta(seconds=n)
        await payments.change(order_id, lambda p, at=at: p.evolve(settle_at=at))
    await payments.change(orders[3], lambda p: p.evolve(settle_at=now() + timedelta(seconds=9)))
    assert [p.order_id for p in await payments.open(2)] == [orders[2], orders[1]]


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
    assert await payments.open(10) == []
    await database.command("profile", 2)
    await payments.open_all()
    await database.command("profile", 0)
    assert [p.order_id for p in await payments.open(10)] == [orders[0]]
    (update,) = await database["system.profile"].find({"op": "update"}).to_list(9)
    assert (update["planSummary"], update["docsExamined"]) == ("IXSCAN { settle_at: 1 }", 1)


async def test_an_event_of_stripe_is_forgotten_after_a_week(database, bus):
    payments = Payments(database, Relay(bus))
    await payments.ensure_indexes()
    indexes = await database["stripe_events"].index_information()
    assert indexes["at_1"]["expireAfterSeconds"] == 7 * 24 * 3600
