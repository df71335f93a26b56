"""The queries of the tickets service, checked with MongoDB's query planner."""

import pytest

from ticketing_common.values.ids import new_id
from tickets.models import Ticket


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"query": "opera"},
        {"query": "opera berlin"},
        {"seller_id": "s1"},
        {"seller_id": "s1", "include_reserved": True},
        {"seller_id": "s1", "query": "opera"},
    ],
    ids=str,
)
async def test_every_list_uses_an_index_without_a_sort(tickets, database, filters):
    for i in range(50):
        await tickets.add(
            Ticket(id=new_id(), title=f"Opera {i} Berlin", price_cents=100, user_id=f"s{i % 2}")
        )
    await database.command("profile", 2)
    arguments = {"query": "", "seller_id": None, "include_reserved": False} | filters
    page = await tickets.page(**arguments, limit=10, after=None)
    await database.command("profile", 0)
    assert len(page) == 10
    (entry,) = (
        await database["system.profile"].find({"op": "query", "ns": f"{database.name}.tickets"}).to_list(9)
    )
    assert "IXSCAN" in entry["planSummary"]
    assert not entry.get("hasSortStage")
    assert entry["docsExamined"] <= 25
