"""The queries of the payments service, held against the real planner."""

from payments.models import Payment, authorise, begin, follow_order
from ticketing_common.clock import now
from ticketing_common.mongo import new_id


async def test_every_query_reads_an_index(payments, database):
    orders = [new_id() for _ in range(20)]
    for order_id in orders:
        payment = Payment(
            id=new_id(), order_id=order_id, user_id="b", amount_cents=100, expires_at=now().replace(year=2100)
        )
        await payments.add(payment)
    await payments.change(orders[3], lambda p: begin(p, "pi_1", "b", now()))
    await payments.change(orders[3], authorise)
    await payments.change(orders[3], lambda p: follow_order(p, 1, "complete"))
    await database.command("profile", 2)
    assert (await payments.of_order(orders[7])).order_id == orders[7]
    assert [payment.order_id for payment in await payments.due(10)] == [orders[3]]
    await database.command("profile", 0)
    queries = await database["system.profile"].find({"op": "query"}).to_list(9)
    assert len(queries) == 2
    for query in queries:
        assert "IXSCAN" in query["planSummary"]
        assert query["docsExamined"] == 1
