"""The connection to MongoDB: outages, a stopping server, and retried writes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from ticketing_common.storage.mongo import MONGO_UNAVAILABLE, connect, ping
from ticketing_common.testing import wait_until
from ticketing_common.testing.servers import free_port, freeze, mongod, running
from ticketing_common.values.ids import new_id

WRITERS = 30
ENOUGH_WRITES = 300


async def test_writes_waiting_when_the_server_is_killed_do_not_delay_writes_after_its_restart(tmp_path):
    server = mongod(free_port(), tmp_path)
    written = 0

    async def write_continuously():
        nonlocal written
        while True:
            try:
                await database["things"].insert_one({"_id": new_id()})
                written += 1
            except MONGO_UNAVAILABLE:
                continue

    async def has_written_enough():
        return written >= ENOUGH_WRITES

    with running(server) as process:
        database = connect(f"{server.url}/things")
        await ping(database)
        freeze(process)  # before the pool has a connection for each writer
        writers = [asyncio.create_task(write_continuously()) for _ in range(WRITERS)]
        await asyncio.sleep(0.5)
        process.kill()
    with running(server):
        await wait_until(has_written_enough, 5)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
    database.client.close()


async def test_write_concern_error_of_a_stopping_server_counts_as_an_outage(tmp_path):
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
    ("uri", "retries"),
    [
        ("mongodb://127.0.0.1/things", False),
        ("mongodb://127.0.0.1/things?readConcernLevel=majority", False),
        ("mongodb://a,b:27018/things?readConcernLevel=majority&replicaSet=rs0", True),
        ("mongodb://me:secret@a/things?replicaset=rs0", True),
    ],
)
async def test_driver_retries_writes_only_to_a_replica_set(uri, retries):
    client = connect(uri).client
    options: Any = client.options
    assert options.retry_writes is retries
    client.close()
