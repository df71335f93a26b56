"""The connection to a MongoDB that freezes and dies."""

import asyncio
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE, connect, ping
from ticketing_common.testing import wait_until
from ticketing_common.testing.servers import free_port, freeze, mongod, running
from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.ids import new_id

WRITERS = 30
ENOUGH = 300


async def test_writes_that_waited_for_a_server_that_died_do_not_keep_it_away_when_it_is_back(tmp_path):
    server = mongod(free_port(), tmp_path)
    written = 0

    async def write_for_ever():
        nonlocal written
        while True:
            try:
                await database["things"].insert_one({"_id": new_id()})
                written += 1
            except MONGO_UNAVAILABLE:
                continue

    async def enough():
        return written >= ENOUGH

    with running(server) as process:
        database = connect(f"{server.url}/things")
        await ping(database)
        freeze(process)  # before there are connections for all of them
        writers = [asyncio.create_task(write_for_ever()) for _ in range(WRITERS)]
        await asyncio.sleep(0.5)
        process.kill()
    with running(server):
        await wait_until(enough, 5)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
    database.client.close()


async def test_a_write_that_a_stopping_server_no_longer_promises_is_an_outage(tmp_path):
    server = mongod(free_port(), tmp_path)
    server = replace(server, command=[*server.command, "--setParameter", "enableTestCommands=1"])
    stopping = {
        "code": 91,
        "codeName": "ShutdownInProgress",
        "errmsg": "The storage catalog is being closed.",
    }
    with running(server):
        database = connect(f"{server.url}/things")
        await database.client.admin.command(
            "configureFailPoint",
            "failCommand",
            mode={"times": 1},
            data={"failCommands": ["insert"], "writeConcernError": stopping},
        )
        with pytest.raises(MONGO_UNAVAILABLE):
            await database["things"].insert_one({"_id": new_id()})
    database.client.close()


@pytest.mark.parametrize(
    ("uri", "repeats"),
    [
        ("mongodb://127.0.0.1/things", False),
        ("mongodb://127.0.0.1/things?readConcernLevel=majority", False),
        ("mongodb://a,b:27018/things?readConcernLevel=majority&replicaSet=rs0", True),
        ("mongodb://me:secret@a/things?replicaset=rs0", True),
    ],
)
async def test_a_write_is_repeated_by_the_driver_at_a_replica_set_only(uri, repeats):
    client = connect(uri).client
    assert client.options.retry_writes is repeats
    client.close()


@dataclass(frozen=True, kw_only=True)
class Renamed(Aggregate):
    stored_names: ClassVar = {"python_name": "stored_name"}

    python_name: str = ""


async def test_a_field_can_be_stored_under_another_name(database):
    documents = Documents(database, "renamed", Renamed)
    await documents.insert(Renamed(id=new_id(), python_name="before"))
    changed = await documents.change(lambda each: each.evolve(python_name="after"), python_name="before")
    assert await documents.find(python_name="after") == changed
    stored = await database["renamed"].find_one({"_id": changed.id})
    assert stored == {"_id": changed.id, "version": 1, "stored_name": "after"}
