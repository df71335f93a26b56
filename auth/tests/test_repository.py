"""The queries of the auth service, checked with MongoDB's query planner."""

from auth.models import Account
from auth.repository import Accounts
from ticketing_common.values.clock import now
from ticketing_common.values.ids import new_id


async def test_account_is_found_by_an_index(database):
    accounts = Accounts(database)
    await accounts.ensure_indexes()
    for i in range(20):
        await accounts.add(Account(id=new_id(), email=f"{i}@example.com", password_hash="x"))
    await database.command("profile", 2)
    assert await accounts.find_by_email("7@example.com")
    await database.command("profile", 0)
    (query,) = await database["system.profile"].find({"op": "query"}).to_list(9)
    assert "IXSCAN" in query["planSummary"]
    assert query["docsExamined"] == 1


async def test_failures_are_deleted_by_a_ttl_index(database):
    accounts = Accounts(database)
    await accounts.ensure_indexes()
    await accounts.add_failure("ann@example.com", now())
    indexes = await database["signin_failures"].index_information()
    assert indexes["until_1"]["expireAfterSeconds"] == 0
    (stored,) = await database["signin_failures"].find({}).to_list(9)
    assert stored["until"] > stored["failures"][0]
