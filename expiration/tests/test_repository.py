"""What the ledger finds, and what it costs."""

from datetime import timedelta

from expiration.models import begin
from ticketing_common.values.clock import now


async def write(ledger, *seconds_to_go):
    """An entry for each; returns their ids."""
    entries = [begin(f"order-{seconds}", now() + timedelta(seconds=seconds)) for seconds in seconds_to_go]
    for entry in entries:
        await ledger.follow(entry.id, 0, lambda _, entry=entry: entry)
    return [entry.id for entry in entries]


async def test_due_is_what_has_expired_the_oldest_first(ledger):
    await write(ledger, 5, -1, -3, -2)
    assert list(await ledger.due(now(), 2)) == ["order--3", "order--2"]


async def test_an_order_is_due_at_its_very_moment_and_not_before(ledger):
    (order_id,) = await write(ledger, 5)
    expires_at = (await ledger.get(order_id)).expires_at
    assert not await ledger.due(expires_at - timedelta(milliseconds=1), 1)
    assert await ledger.due(expires_at, 1) == {order_id: expires_at}


async def test_upcoming_is_what_has_not_expired_the_nearest_first(ledger):
    await write(ledger, 5, -1, 3, 4)
    assert list(await ledger.upcoming(now(), 2)) == ["order-3", "order-4"]


async def test_what_was_told_is_no_longer_due(ledger):
    ids = await write(ledger, -1, -2)
    moment = now()
    await ledger.mark_told(ids[:1], moment)
    assert list(await ledger.due(now(), 10)) == ids[1:]
    assert (await ledger.get(ids[0])).settled_at == moment


async def test_to_be_told_twice_changes_nothing(ledger):
    ids = await write(ledger, -1)
    moment = now()
    await ledger.mark_told(ids, moment)
    await ledger.mark_told(ids, moment + timedelta(seconds=1))
    assert (await ledger.get(ids[0])).settled_at == moment


async def test_what_is_due_is_found_without_reading_what_is_settled(ledger, database):
    ids = await write(ledger, *range(-50, 0))
    await ledger.mark_told(ids[:-2], now())
    query = {"settled_at": None, "expires_at": {"$lte": now()}}
    plan = await database["entries"].find(query).sort("expires_at", 1).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 2
    assert plan["queryPlanner"]["winningPlan"]["inputStage"]["indexName"] == "to_come"


async def test_only_settled_entries_are_ever_dropped(ledger, database):
    indexes = await database["entries"].index_information()
    ttl = [index for index in indexes.values() if "expireAfterSeconds" in index]
    # An entry that is to be told has no date there, and MongoDB leaves it.
    assert [index["key"] for index in ttl] == [[("settled_at", 1)]]
