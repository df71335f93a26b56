"""Backups on a real mongod, alone and as a replica set: what comes back, and what is refused."""

import asyncio
import gzip
import json
import os
import random
import tracemalloc
from datetime import UTC, datetime

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex
from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from pymongo.errors import DuplicateKeyError

from ticketing_common.storage.mongo import connect
from ticketing_common.testing import wait_until
from ticketing_common.testing.replica_set import initiate, member
from ticketing_common.testing.servers import free_port, running
from ticketing_common.values.ids import new_id
from ticketing_operations import backup, backup_files
from ticketing_operations.backup import dump, restore
from ticketing_operations.backup_files import BackupError, read_manifest, verify

RAW = bson.codec_options.CodecOptions(document_class=RawBSONDocument)


@pytest.fixture(scope="session")
def replica_set_url(servers_dir):
    """A replica set of one, which is enough for snapshots."""
    server = member(free_port(), servers_dir / "replica-set", "--oplogSize", "50")
    with running(server):
        yield initiate([server]).replace("/?", "/{}?")


async def everything(database):
    """Every document as it is stored, and every collection's options and indexes."""
    found = {}
    for collection in await backup._collections(database):
        name = collection["name"]
        documents = await database[name].with_options(RAW).find({}).sort("_id", 1).to_list(None)
        indexes = await database[name].index_information()
        found[name] = (collection["options"], indexes, [document.raw for document in documents])
    return found


async def dumped(uri, folder, keep=14):
    await dump({"things": uri}, folder, keep)
    return max(folder.iterdir())


@pytest.fixture
def command(monkeypatch, capsys):
    """The command in this process: its exit status, and what it said."""

    async def run(*arguments, **environment):
        for name in [name for name in os.environ if name.startswith("MONGO_URI")]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return await backup.main([str(each) for each in arguments]), "".join(capsys.readouterr())

    return run


@pytest.fixture
async def things(database):
    """Something of every kind."""
    outbox = [{"id": "ticket.updated:1:2", "data": b"\x00\xff{}", "trace": None, "at": datetime.now(UTC)}]
    await database["things"].insert_many(
        [
            {"_id": new_id(), "version": 0, "title": "Opéra ☂", "words": [], "outbox": outbox},
            {"_id": ObjectId(), "cents": 2**31, "long": Int64(1), "double": 1.0, "money": Decimal128("1.10")},
            {"_id": 7, "regex": Regex("^a", "i"), "uuid": Binary(b"0" * 16, 4), "none": None, "": {"": [[]]}},
            {"_id": {"b": 1, "a": 2}, "then": datetime(1960, 1, 1, tzinfo=UTC), "true": True},
        ]
    )
    titled = {"title": {"$gt": ""}}
    await database["things"].create_index(
        [("title", 1), ("n", -1)], unique=True, partialFilterExpression=titled, name="guard"
    )
    await database["things"].create_index(
        "outbox.at", partialFilterExpression={"outbox.0": {"$exists": True}}
    )
    await database["things"].create_index("until", expireAfterSeconds=3600)
    await database["nothing"].create_index("email", unique=True)
    await database.create_collection("capped", capped=True, size=4096, max=10)
    return await everything(database)


async def test_a_database_comes_back_byte_for_byte(database, mongo_uri, things, tmp_path):
    made = await dumped(mongo_uri, tmp_path)
    await database["things"].delete_many({"version": 0})
    await database["things"].drop_index("guard")
    await database["later"].insert_one({})
    await restore(made, database.name, mongo_uri, drop=True)
    assert await everything(database) == things
    with pytest.raises(DuplicateKeyError):
        await database["things"].insert_one({"title": "Opéra ☂"})


async def test_the_files_are_those_of_mongodump(database, mongo_uri, things, tmp_path):
    folder = await dumped(mongo_uri, tmp_path) / database.name
    names = {f"{name}.{kind}.gz" for name in things for kind in ("bson", "metadata.json")}
    assert {path.name for path in folder.iterdir()} == names
    unzipped = gzip.decompress((folder / "things.bson.gz").read_bytes())
    assert sorted(document.raw for document in bson.decode_all(unzipped, RAW)) == sorted(things["things"][2])
    metadata = json.loads(gzip.decompress((folder / "things.metadata.json.gz").read_bytes()))
    assert metadata.keys() == {"options", "indexes", "uuid", "collectionName", "type"}
    assert len(bytes.fromhex(metadata["uuid"])) == 16
    guard = next(index for index in metadata["indexes"] if index["name"] == "guard")
    assert guard["unique"] is True
    assert list(guard["key"].items()) == [("title", {"$numberInt": "1"}), ("n", {"$numberInt": "-1"})]


async def test_a_big_collection_needs_little_memory(database, mongo_uri, tmp_path):
    size, noise = 32 * 2**20, random.Random(1).randbytes(4096)
    quickly = database["things"].with_options(write_concern=WriteConcern(w=1, j=False))
    await quickly.insert_many({"_id": i, "noise": noise} for i in range(size // len(noise)))
    peaks = []
    tracemalloc.start()
    try:
        made = await dumped(mongo_uri, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()
        await restore(made, database.name, mongo_uri, drop=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert await database["things"].count_documents({}) == size // len(noise)
    assert max(peaks) < 0.75 * size


async def test_what_is_read_while_others_write_is_of_one_moment(replica_set_url, tmp_path, monkeypatch):
    uri = replica_set_url.format("moment")
    database = connect(uri)
    written = 0

    async def write():
        nonlocal written
        while True:
            for name in ("first", "second"):
                await database[name].insert_one({"_id": written})
            written += 1

    async def slowly(*arguments, metadata=backup._metadata):
        before = written

        async def is_ahead():
            return written > before + 10

        await wait_until(is_ahead)
        return await metadata(*arguments)

    monkeypatch.setattr(backup, "_metadata", slowly)
    writing = asyncio.create_task(write())
    await slowly(metadata=lambda: asyncio.sleep(0))
    manifest = await dump({"moment": uri}, tmp_path, 14)
    writing.cancel()
    first, second = (manifest.databases["moment"].collections[name].documents for name in ("first", "second"))
    assert first - second in (0, 1)
    assert second > 20
    assert manifest.databases["moment"].snapshot
    await restore(max(tmp_path.iterdir()), "moment", uri, drop=True)
    assert await database["second"].count_documents({}) == second


async def test_a_snapshot_that_the_server_gives_up_is_no_dump(replica_set_url, tmp_path, monkeypatch, capsys):
    uri = replica_set_url.format("long")
    database = connect(uri)
    for name in ("first", "second"):
        await database[name].insert_one({})
    admin = database.client["admin"]
    await admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=0)

    async def for_ages(database, collection, metadata=backup._metadata):
        if list((tmp_path).glob("*/long/*.bson.gz")):  # one is read
            for _ in range(3):
                await asyncio.sleep(0.5)
                await database["others"].insert_one({})
        return await metadata(database, collection)

    monkeypatch.setattr(backup, "_metadata", for_ages)
    with pytest.raises(BackupError):
        await dump({"long": uri}, tmp_path, 14)
    await admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=300)
    assert "long: not dumped: it took longer than the server keeps a snapshot" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


async def test_one_that_is_out_of_reach_is_named_and_the_others_are_dumped(
    mongo_uri, things, tmp_path, command, monkeypatch
):
    monkeypatch.setattr(backup, "_ANSWERS_WITHIN", 0.2)
    nobody = f"mongodb://127.0.0.1:{free_port()}/tickets?replicaSet=rs0"
    status, said = await command("dump", "--to", tmp_path, MONGO_URI_AUTH=mongo_uri, MONGO_URI_TICKETS=nobody)
    assert status == 1
    assert "\ntickets: not dumped: " in f"\n{said}"
    assert "auth: 4 documents, " in said
    (made,) = tmp_path.iterdir()
    assert made.suffix == ""
    status, said = await command("verify", made)
    assert (status, "tickets: MISSING" in said, ": good, 4 documents" in said) == (1, True, True)


async def test_a_database_of_nothing_is_a_wrong_name(mongo_uri, tmp_path, capsys):
    with pytest.raises(BackupError, match="nothing was dumped"):
        await dump({"auth": mongo_uri}, tmp_path, 14)
    assert "is that its name?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", ["turned", "cut", "gone", "metadata", "manifest", "part"])
async def test_a_damaged_dump_is_refused_before_anything_is_touched(
    database, mongo_uri, things, tmp_path, harm
):
    made = await dumped(mongo_uri, tmp_path)
    data = made / database.name / "things.bson.gz"
    good = data.read_bytes()
    if harm == "turned":
        data.write_bytes(good[:-20] + bytes([good[-20] ^ 1]) + good[-19:])
    elif harm == "cut":
        data.write_bytes(good[:-100])
    elif harm == "gone":
        data.unlink()
    elif harm == "metadata":
        (made / database.name / "things.metadata.json.gz").write_bytes(gzip.compress(b"{}"))
    elif harm == "manifest":
        (made / "manifest.json").write_text("{}")
    else:
        made = made.rename(made.with_suffix(".part"))
    with pytest.raises(BackupError):
        await restore(made, database.name, mongo_uri, drop=True)
    assert await everything(database) == things
    if harm in ("manifest", "part"):
        with pytest.raises(BackupError):
            verify(made)
    else:
        assert not verify(made)


async def test_a_dump_that_is_cut_off_is_never_taken_for_one(mongo_uri, things, tmp_path, monkeypatch):
    async def for_ever(*_):
        await asyncio.Event().wait()

    with monkeypatch.context() as stuck:
        stuck.setattr(backup, "_metadata", for_ever)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dump({"things": mongo_uri}, tmp_path, 14), 0.5)
    (half,) = tmp_path.iterdir()
    with pytest.raises(BackupError, match="was not finished"):
        read_manifest(half)
    half = half.rename(tmp_path / "2026-01-01T030000Z.part")
    made = await dumped(mongo_uri, tmp_path)
    assert list(tmp_path.iterdir()) == [made]


async def test_the_last_complete_ones_are_kept(mongo_uri, things, tmp_path, monkeypatch):
    uris = {"things": mongo_uri}
    monkeypatch.setattr(backup, "_ANSWERS_WITHIN", 0.2)
    monkeypatch.setattr(backup_files, "now", lambda: datetime(2026, 1, day, 3, tzinfo=UTC))

    async def on(number, uris=uris):
        nonlocal day
        day = number
        await dump(uris, tmp_path, keep=2)
        return [int(path.name[8:10]) for path in sorted(tmp_path.iterdir())]

    day = 0
    lacking = uris | {"tickets": f"mongodb://127.0.0.1:{free_port()}/tickets"}
    assert await on(1) == [1]
    assert await on(2, lacking) == [1, 2]
    assert await on(3, lacking) == [1, 2, 3]
    assert await on(4) == [1, 2, 3, 4]
    assert await on(5) == [4, 5]


async def test_documents_are_not_overwritten_unasked(database, mongo_uri, things, tmp_path, command):
    made = await dumped(mongo_uri, tmp_path)
    with pytest.raises(BackupError, match="has documents in things"):
        await restore(made, database.name, mongo_uri, drop=False)
    assert await everything(database) == things
    other = mongo_uri + "-other"
    with pytest.raises(BackupError, match="in the place of"):
        await restore(made, database.name, other, drop=True)
    with pytest.raises(BackupError, match="has no orders, but"):
        await restore(made, "orders", mongo_uri, drop=True)
    await database["things"].delete_many({})  # as a service leaves an empty database: with its indexes
    status, said = await command("restore", "--from", made, database.name, MONGO_URI=mongo_uri)
    assert (status, f"{database.name}: 4 documents" in said) == (0, True), said
    assert await everything(database) == things
    # To look at what it holds: beside the real one.
    await restore(made, database.name, other, drop=False)
    beside = connect(other)
    assert await everything(beside) == things
    await beside.client.drop_database(beside.name)


async def test_what_stops_a_dump_is_said(mongo_uri, tmp_path, command):
    (tmp_path / "file").touch()
    status, said = await command("dump", "--to", tmp_path / "file", MONGO_URI_AUTH=mongo_uri)
    assert (status, said.startswith("dump failed: ")) == (1, True), said
    assert await command("dump", "--to", tmp_path) == (
        1,
        "dump failed: no variable MONGO_URI_<NAME> names a database\n",
    )
