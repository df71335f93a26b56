"""Backups on a real MongoDB, standalone and as a replica set: dump, verify, restore."""

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
    """A replica set with one member, which suffices for snapshots."""
    server = member(free_port(), servers_dir / "replica-set", "--oplogSize", "50")
    with running(server):
        yield initiate([server]).replace("/?", "/{}?")


async def read_database(database):
    """The options, indexes and raw documents of each collection."""
    content = {}
    for collection in await backup._list_collections(database):
        name = collection["name"]
        documents = await database[name].with_options(RAW).find({}).sort("_id", 1).to_list(None)
        indexes = await database[name].index_information()
        raw = [bytes(document.raw) for document in documents]
        content[name] = (collection["options"], indexes, raw)
    return content


async def make_dump(uri, folder):
    """Returns the folder of the new dump."""
    await dump({"things": uri}, folder, keep=14)
    return max(folder.iterdir())


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command in this process. Returns its exit status and output."""

    async def run(*arguments, **environment):
        for name in [name for name in os.environ if name.startswith("MONGO_URI")]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return await backup.main([str(each) for each in arguments]), "".join(capsys.readouterr())

    return run


@pytest.fixture
async def things(database):
    """A database with documents, indexes and collections of every kind."""
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
    return await read_database(database)


async def test_restored_database_is_identical(database, mongo_uri, things, tmp_path):
    path = await make_dump(mongo_uri, tmp_path)
    await database["things"].delete_many({"version": 0})
    await database["things"].drop_index("guard")
    await database["later"].insert_one({})
    await restore(path, database.name, mongo_uri, drop=True)
    assert await read_database(database) == things
    with pytest.raises(DuplicateKeyError):
        await database["things"].insert_one({"title": "Opéra ☂"})


async def test_files_have_the_format_of_mongodump(database, mongo_uri, things, tmp_path):
    folder = await make_dump(mongo_uri, tmp_path) / database.name
    names = {f"{name}.{kind}.gz" for name in things for kind in ("bson", "metadata.json")}
    assert {path.name for path in folder.iterdir()} == names
    unzipped = gzip.decompress((folder / "things.bson.gz").read_bytes())
    assert sorted(bytes(document.raw) for document in bson.decode_all(unzipped, RAW)) == sorted(
        things["things"][2]
    )
    metadata = json.loads(gzip.decompress((folder / "things.metadata.json.gz").read_bytes()))
    assert metadata.keys() == {"options", "indexes", "uuid", "collectionName", "type"}
    assert len(bytes.fromhex(metadata["uuid"])) == 16
    guard = next(index for index in metadata["indexes"] if index["name"] == "guard")
    assert guard["unique"] is True
    assert list(guard["key"].items()) == [("title", {"$numberInt": "1"}), ("n", {"$numberInt": "-1"})]


async def test_memory_does_not_grow_with_the_size_of_a_collection(database, mongo_uri, tmp_path):
    size, noise = 32 * 2**20, random.Random(1).randbytes(4096)
    unjournaled = database["things"].with_options(write_concern=WriteConcern(w=1, j=False))
    await unjournaled.insert_many({"_id": i, "noise": noise} for i in range(size // len(noise)))
    peaks = []
    tracemalloc.start()
    try:
        path = await make_dump(mongo_uri, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()
        await restore(path, database.name, mongo_uri, drop=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert await database["things"].count_documents({}) == size // len(noise)
    assert max(peaks) < 0.75 * size


async def test_dump_taken_during_writes_is_of_one_moment(replica_set_url, tmp_path, monkeypatch):
    uri = replica_set_url.format("moment")
    database = connect(uri)
    written = 0

    async def write():
        nonlocal written
        while True:
            for name in ("first", "second"):
                await database[name].insert_one({"_id": written})
            written += 1

    async def read_slowly(*arguments, read=backup._read_metadata):
        before = written

        async def is_ahead():
            return written > before + 10

        await wait_until(is_ahead)
        return await read(*arguments)

    monkeypatch.setattr(backup, "_read_metadata", read_slowly)
    writing = asyncio.create_task(write())
    await read_slowly(read=lambda: asyncio.sleep(0))
    manifest = await dump({"moment": uri}, tmp_path, 14)
    writing.cancel()
    first, second = (manifest.databases["moment"].collections[name].documents for name in ("first", "second"))
    assert first - second in (0, 1)
    assert second > 20
    assert manifest.databases["moment"].snapshot
    await restore(max(tmp_path.iterdir()), "moment", uri, drop=True)
    assert await database["second"].count_documents({}) == second


async def test_database_whose_snapshot_expires_is_not_dumped(replica_set_url, tmp_path, monkeypatch, capsys):
    uri = replica_set_url.format("long")
    database = connect(uri)
    for name in ("first", "second"):
        await database[name].insert_one({})
    admin = database.client["admin"]
    await admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=0)

    async def read_for_too_long(database, collection, read=backup._read_metadata):
        if list(tmp_path.glob("*/long/*.bson.gz")):  # the first collection is dumped
            for _ in range(3):
                await asyncio.sleep(0.5)
                await database["others"].insert_one({})
        return await read(database, collection)

    monkeypatch.setattr(backup, "_read_metadata", read_for_too_long)
    with pytest.raises(BackupError):
        await dump({"long": uri}, tmp_path, 14)
    await admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=300)
    assert "long: not dumped: it took longer than the server keeps a snapshot" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


async def test_unreachable_database_is_named_and_the_others_are_dumped(
    mongo_uri, things, tmp_path, command, monkeypatch
):
    monkeypatch.setattr(backup, "_PING_TIMEOUT", 0.2)
    unreachable = f"mongodb://127.0.0.1:{free_port()}/tickets?replicaSet=rs0"
    status, output = await command(
        "dump", "--to", tmp_path, MONGO_URI_AUTH=mongo_uri, MONGO_URI_TICKETS=unreachable
    )
    assert status == 1
    assert "\ntickets: not dumped: " in f"\n{output}"
    assert "auth: 4 documents, " in output
    (path,) = tmp_path.iterdir()
    assert path.suffix == ""
    status, output = await command("verify", path)
    assert (status, "tickets: MISSING" in output, ": good, 4 documents" in output) == (1, True, True)


async def test_empty_database_is_reported_as_a_wrong_name(mongo_uri, tmp_path, capsys):
    with pytest.raises(BackupError, match="nothing was dumped"):
        await dump({"auth": mongo_uri}, tmp_path, 14)
    assert "is that its name?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


async def test_database_whose_files_cannot_be_read_back_is_not_dumped(
    mongo_uri, things, tmp_path, monkeypatch, capsys
):
    def truncate(folder):
        path = folder / "things.bson.gz"
        path.write_bytes(path.read_bytes()[:-10])

    monkeypatch.setattr(backup_files, "sync_files", truncate)
    with pytest.raises(BackupError, match="nothing was dumped"):
        await dump({"auth": mongo_uri}, tmp_path, 14)
    assert "auth: not dumped: things was not written correctly: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["bit", "end", "file", "metadata", "manifest", "part"])
async def test_damaged_dump_is_rejected_before_any_change(database, mongo_uri, things, tmp_path, damage):
    path = await make_dump(mongo_uri, tmp_path)
    data = path / database.name / "things.bson.gz"
    intact = data.read_bytes()
    if damage == "bit":
        data.write_bytes(intact[:-20] + bytes([intact[-20] ^ 1]) + intact[-19:])
    elif damage == "end":
        data.write_bytes(intact[:-100])
    elif damage == "file":
        data.unlink()
    elif damage == "metadata":
        (path / database.name / "things.metadata.json.gz").write_bytes(gzip.compress(b"{}"))
    elif damage == "manifest":
        (path / "manifest.json").write_text("{}")
    else:
        path = path.rename(path.with_suffix(".part"))
    with pytest.raises(BackupError):
        await restore(path, database.name, mongo_uri, drop=True)
    assert await read_database(database) == things
    if damage in ("manifest", "part"):
        with pytest.raises(BackupError):
            verify(path)
    else:
        assert not verify(path)


async def test_interrupted_dump_is_rejected_and_deleted_by_a_later_one(
    mongo_uri, things, tmp_path, monkeypatch
):
    async def hang(*_):
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(backup, "_read_metadata", hang)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dump({"things": mongo_uri}, tmp_path, 14), 0.5)
    (interrupted,) = tmp_path.iterdir()
    with pytest.raises(BackupError, match="was not finished"):
        read_manifest(interrupted)
    interrupted.rename(tmp_path / "2026-01-01T030000Z.part")
    path = await make_dump(mongo_uri, tmp_path)
    assert list(tmp_path.iterdir()) == [path]


async def test_last_complete_dumps_are_kept(mongo_uri, things, tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "_PING_TIMEOUT", 0.2)
    complete = {"things": mongo_uri}
    incomplete = complete | {"tickets": f"mongodb://127.0.0.1:{free_port()}/tickets"}

    async def dump_on(day, uris):
        """Returns the days of the dumps that are kept."""
        monkeypatch.setattr(backup_files, "now", lambda: datetime(2026, 1, day, 3, tzinfo=UTC))
        await dump(uris, tmp_path, keep=2)
        return [int(path.name[8:10]) for path in sorted(tmp_path.iterdir())]

    assert await dump_on(1, complete) == [1]
    assert await dump_on(2, incomplete) == [1, 2]
    assert await dump_on(3, incomplete) == [1, 2, 3]
    assert await dump_on(4, complete) == [1, 2, 3, 4]
    assert await dump_on(5, complete) == [4, 5]


async def test_restore_overwrites_documents_only_with_drop_and_only_of_the_same_database(
    database, mongo_uri, things, tmp_path, command
):
    path = await make_dump(mongo_uri, tmp_path)
    with pytest.raises(BackupError, match="has documents in things"):
        await restore(path, database.name, mongo_uri, drop=False)
    assert await read_database(database) == things
    other = mongo_uri + "-other"
    with pytest.raises(BackupError, match="would replace"):
        await restore(path, database.name, other, drop=True)
    with pytest.raises(BackupError, match="has no orders, but"):
        await restore(path, "orders", mongo_uri, drop=True)
    await database["things"].delete_many({})  # an empty collection with indexes, as a new service creates it
    status, output = await command("restore", "--from", path, database.name, MONGO_URI=mongo_uri)
    assert (status, f"{database.name}: 4 documents" in output) == (0, True), output
    assert await read_database(database) == things
    # A database of another name is for looking at a dump beside the real database.
    await restore(path, database.name, other, drop=False)
    copy = connect(other)
    assert await read_database(copy) == things
    await copy.client.drop_database(copy.name)


async def test_failed_dump_prints_the_reason(mongo_uri, tmp_path, command):
    (tmp_path / "file").touch()
    status, output = await command("dump", "--to", tmp_path / "file", MONGO_URI_AUTH=mongo_uri)
    assert (status, output.startswith("dump failed: ")) == (1, True), output
    assert await command("dump", "--to", tmp_path) == (
        1,
        "dump failed: no variable MONGO_URI_<NAME> names a database\n",
    )


async def test_restore_that_fails_can_be_repeated(database, mongo_uri, things, tmp_path, monkeypatch):
    path = await make_dump(mongo_uri, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(backup, "_INSERT_TIMEOUT", 1e-6)
        with pytest.raises(BackupError, match="run the command again with --drop"):
            await restore(path, database.name, mongo_uri, drop=True)
    await restore(path, database.name, mongo_uri, drop=True)
    assert await read_database(database) == things


@pytest.mark.parametrize("keep", ["0", "-1", "many"])
async def test_number_of_dumps_to_keep_is_positive(tmp_path, command, keep):
    with pytest.raises(SystemExit):
        await command("dump", "--to", tmp_path, "--keep", keep)
