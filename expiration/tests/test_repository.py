"""The queries of the ledger, and their cost."""

from datetime import timedelta

from expiration.models import create_entry
from ticketing_common.values.clock import now


async def write(ledger, *seconds_to_go):
    """Add an entry for each; returns their ids."""
    entries = [
        create_entry(f"order-{seconds}", now() + timedelta(seconds=seconds)) for seconds in seconds_to_go
    ]
    for entry in entries:
        await ledger.apply_change(entry.id, 0, lambda _, entry=entry: entry)
    return [entry.id for entry in entries]


async def test_due_orders_are_found_oldest_first(ledger):
    await write(ledger, 5, -1, -3, -2)
    assert list(await ledger.find_due(now(), 2)) == ["order--3", "order--2"]


async def test_order_is_due_at_its_time_of_expiry_and_not_before(ledger):
    (order_id,) = await write(ledger, 5)
    expires_at = (await ledger.get(order_id)).expires_at
    assert not await ledger.find_due(expires_at - timedelta(milliseconds=1), 1)
    assert await ledger.find_due(expires_at, 1) == {order_id: expires_at}


async def test_upcoming_orders_are_found_earliest_first(ledger):
    await write(ledger, 5, -1, 3, 4)
    assert list(await ledger.find_upcoming(now(), 2)) == ["order-3", "order-4"]


async def test_published_order_is_no_longer_due(ledger):
    ids = await write(ledger, -1, -2)
    moment = now()
    await ledger.mark_published(ids[:1], moment)
    assert list(await ledger.find_due(now(), 10)) == ids[1:]
    assert (await ledger.get(ids[0])).resolved_at == moment


async def test_marking_an_order_as_published_twice_changes_nothing(ledger):
    ids = await write(ledger, -1)
    moment = now()
    await ledger.mark_published(ids, moment)
    await ledger.mark_published(ids, moment + timedelta(seconds=1))
    assert (await ledger.get(ids[0])).resolved_at == moment


async def test_due_orders_are_found_without_reading_resolved_entries(ledger, database):
    ids = await write(ledger, *range(-50, 0))
    await ledger.mark_published(ids[:-2], now())
    query = {"settled_at": None, "expires_at": {"$lte": now()}}
    plan = await database["entries"].find(query).sort("expires_at", 1).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 2
    assert plan["queryPlanner"]["winningPlan"]["inputStage"]["indexName"] == "to_come"


async def test_only_resolved_entries_are_deleted_by_the_ttl_index(ledger, database):
    indexes = await database["entries"].index_information()
    ttl = [index for index in indexes.values() if "expireAfterSeconds" in index]
    # MongoDB does not delete documents without a date in this field.
    assert [index["key"] for index in ttl] == [[("settled_at", 1)]]
