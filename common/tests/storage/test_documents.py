"""Documents: compare-and-set, unique documents, sums, and fields stored under another name."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import pytest

from ticketing_common.storage.documents import DocumentNotFound, Documents, DuplicateDocument
from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.ids import new_id


@dataclass(frozen=True, kw_only=True)
class Thing(Aggregate):
    title: str


@pytest.fixture
def documents(database):
    return Documents(database, "things", Thing)


async def test_each_of_many_concurrent_changes_is_one_version(documents):
    thing = Thing(id=new_id(), title="")
    await documents.insert(thing)
    await asyncio.gather(
        *(documents.change(lambda t, i=i: t.evolve(title=t.title + str(i)), id=thing.id) for i in range(9))
    )
    changed = await documents.find(id=thing.id)
    assert (changed.version, sorted(changed.title)) == (9, list("012345678"))


async def test_second_insert_and_change_of_an_unknown_document_raise_an_error(documents):
    thing = Thing(id=new_id(), title="a")
    await documents.insert(thing)
    with pytest.raises(DuplicateDocument):
        await documents.insert(thing)
    with pytest.raises(DocumentNotFound):
        await documents.change(lambda t: t, id="unknown")


async def test_sum_by_counts_and_sums_matching_documents_by_field(documents):
    for title, version in [("a", 1), ("a", 2), ("b", 5), ("c", 9)]:
        await documents.insert(Thing(id=new_id(), title=title, version=version))
    criteria = {"title": {"$in": ["a", "b", "d"]}}
    assert await documents.sum_by(criteria, by="title", of="version") == {"a": (2, 3), "b": (1, 5)}


@dataclass(frozen=True, kw_only=True)
class Renamed(Aggregate):
    stored_names: ClassVar = {"python_name": "stored_name"}

    python_name: str = ""


async def test_field_can_be_stored_under_another_name(database):
    documents = Documents(database, "renamed", Renamed)
    await documents.insert(Renamed(id=new_id(), python_name="before"))
    changed = await documents.change(lambda each: each.evolve(python_name="after"), python_name="before")
    assert await documents.find(python_name="after") == changed
    stored = await database["renamed"].find_one({"_id": changed.id})
    assert stored == {"_id": changed.id, "version": 1, "stored_name": "after"}
