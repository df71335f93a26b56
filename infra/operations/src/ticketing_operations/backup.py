"""Backups: dumps the databases into files, checks them, keeps them for a while, and puts one back.

    MONGO_URI_AUTH=... MONGO_URI_ORDERS=... python -m ticketing_operations backup dump --to FOLDER [--keep 14]
    python -m ticketing_operations backup verify FOLDER/TIME
    MONGO_URI=... python -m ticketing_operations backup restore --from FOLDER/TIME DATABASE [--drop]

A dump has every database that a variable MONGO_URI_<NAME> names; mongorestore --gzip reads it too. What a
restored database needs before its service may start: docs/backups.md.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pymongo
from bson import json_util
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure, PyMongoError

from ticketing_common.config import MongoSettings, load_settings
from ticketing_common.observability.logs import redact_output
from ticketing_common.storage.mongo import Database, connect, ping
from ticketing_operations import backup_files
from ticketing_operations.backup_files import BackupError, Dumped, Manifest

# Seconds, in place of what `connect` allows a request. Within them the driver tries again by itself.
_ANSWERS_WITHIN = 15.0
_DUMPED_WITHIN = 1800.0
"""Above the 5 minutes for which a server keeps a snapshot, unless it is told to keep it longer."""
_INSERTED_WITHIN = 60.0
"""A batch."""
_READ_AT_ONCE = 500
"""Documents; without a limit the server sends 16 MB, of which the driver holds several copies."""
_INSERTED_AT_ONCE = 8 * 2**20
"""Bytes."""
_SNAPSHOT_TOO_OLD = 239
_PREFIX = "MONGO_URI_"


async def dump(uris: Mapping[str, str], folder: Path, keep: int) -> Manifest:
    """Dump one database after the other; one that fails is named, and does not keep the others from it.

    Only a dump that misses nothing makes older ones go. Raises BackupError when nothing could be dumped.
    """
    if not uris:
        raise BackupError("no variable MONGO_URI_<NAME> names a database")
    part = backup_files.begin(folder)
    manifest = Manifest(databases={}, missing=[])
    for name, uri in sorted(uris.items()):
        try:
            began = time.monotonic()
            database = connect(uri)
            dumped = await _dump_database(database, part / database.name)
        except (PyMongoError, BackupError, OSError) as error:
            print(f"{name}: not dumped: {_reason(error)}", file=sys.stderr, flush=True)
            manifest.missing.append(name)
            continue
        manifest.databases[database.name] = dumped
        note = "" if dumped.snapshot else ", not of one moment: the server is no replica set"
        print(f"{name}: {dumped}, {time.monotonic() - began:.1f} s{note}", flush=True)
    made = backup_files.finish(part, manifest)
    print(f"{made} {'lacks ' + ', '.join(manifest.missing) if manifest.missing else 'is complete'}")
    if not manifest.missing:
        backup_files.forget_older(folder, keep)
    return manifest


async def _dump_database(database: Database, into: Path) -> Dumped:
    os.mkdir(into)  # fails where another one has that name
    try:
        with pymongo.timeout(_ANSWERS_WITHIN):
            await ping(database)
        with pymongo.timeout(_DUMPED_WITHIN):
            return await _dump_collections(database, into)
    except BaseException:
        shutil.rmtree(into)
        raise


async def _dump_collections(database: Database, into: Path) -> Dumped:
    collections = await _collections(database)
    if not collections:
        raise BackupError(f"there is nothing in {database.name}: is that its name?")
    async with _one_moment(database) as session:
        for collection in collections:
            name = collection["name"]
            with backup_files.on_disk(into / f"{name}.metadata.json.gz") as file:
                file.write(await _metadata(database, collection))
            with backup_files.on_disk(into / f"{name}.bson.gz") as file:
                batches = database[name].find_raw_batches({}, batch_size=_READ_AT_ONCE, session=session)
                async for batch in batches:
                    file.write(batch)
    backup_files.sync(into)
    return Dumped(
        snapshot=session is not None,
        collections={each["name"]: backup_files.measure(into, each["name"]) for each in collections},
    )


async def _collections(database: Database) -> list[dict[str, Any]]:
    listed = await database.command("listCollections", filter={"type": "collection"})
    return [each for each in listed["cursor"]["firstBatch"] if not each["name"].startswith("system.")]


async def _metadata(database: Database, collection: dict[str, Any]) -> bytes:
    """A collection's options and indexes, as mongodump writes them."""
    indexes = await database.command("listIndexes", collection["name"])
    metadata = {
        "options": collection["options"],
        "indexes": indexes["cursor"]["firstBatch"],
        "uuid": collection["info"]["uuid"].hex(),
        "collectionName": collection["name"],
        "type": "collection",
    }
    return json_util.dumps(metadata, json_options=json_util.CANONICAL_JSON_OPTIONS).encode()


@asynccontextmanager
async def _one_moment(database: Database) -> AsyncIterator[Any]:
    """A session in which everything is read as it was at one moment; None without a replica set.

    What is read over a while could hold two live orders of one ticket. So where the server gives the
    snapshot up before the end, that database counts as not dumped.
    """
    if "setName" not in await database.command("hello"):
        yield None
        return
    # AsyncMongoClient's start_session is not awaited.
    async with await database.client.start_session(snapshot=True) as session:
        yield session


async def restore(dump: Path, name: str, uri: str, *, drop: bool) -> None:
    """Make the database that the URI names what the dump says that `name` was.

    A collection's indexes are made before its documents come: the unique ones are guards, and stand before
    anybody can write. Raises BackupError before anything is touched.
    """
    began = time.monotonic()
    manifest = backup_files.read_manifest(dump)
    if name not in manifest.databases:
        raise BackupError(f"{dump} has no {name}, but {', '.join(manifest.databases)}")
    dumped = manifest.databases[name]
    if found := backup_files.damage(dump / name, dumped):
        raise BackupError(f"{dump / name} is damaged: {'; '.join(found)}")
    database = connect(uri)
    await _refuse_unless_empty(database, name, drop=drop)
    try:
        with pymongo.timeout(_INSERTED_WITHIN):
            await database.client.drop_database(database.name)
        for collection in dumped.collections:
            await _restore_collection(database, dump / name, collection)
    except PyMongoError as error:
        raise BackupError(f"{database.name} is half restored, do it again with --drop: {error}") from error
    print(f"{database.name}: {dumped}, {time.monotonic() - began:.1f} s")


async def _refuse_unless_empty(database: Database, name: str, *, drop: bool) -> None:
    if drop and database.name != name:
        raise BackupError(f"--drop would put {name} in the place of {database.name}")
    for collection in await _collections(database):
        if not drop and await database[collection["name"]].find_one({}, {"_id": 1}):
            raise BackupError(f"{database.name} has documents in {collection['name']}; --drop deletes them")


async def _restore_collection(database: Database, folder: Path, name: str) -> None:
    metadata = backup_files.read_metadata(folder, name)
    await database.command({"create": name, **metadata["options"]})
    if indexes := [index for index in metadata["indexes"] if index["name"] != "_id_"]:
        await database.command("createIndexes", name, indexes=indexes)
    for batch in _batches(backup_files.documents(folder, name)):
        with pymongo.timeout(_INSERTED_WITHIN):
            await database[name].insert_many(batch)


def _batches(documents: Iterator[bytes]) -> Iterator[list[RawBSONDocument]]:
    batch: list[RawBSONDocument] = []
    size = 0
    for document in documents:
        batch.append(RawBSONDocument(document))
        size += len(document)
        if size >= _INSERTED_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _reason(error: Exception) -> str:
    if isinstance(error, OperationFailure) and error.code == _SNAPSHOT_TOO_OLD:
        return "it took longer than the server keeps a snapshot: raise minSnapshotHistoryWindowInSeconds"
    return str(error)[:500]


def _number(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ticketing_operations backup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    dumps = commands.add_parser("dump", help="dump every database that the environment names")
    dumps.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    dumps.add_argument("--keep", type=_number, default=14, help="complete dumps; older ones are deleted (14)")
    verifies = commands.add_parser("verify", help="whether a dump is complete, and as it was written")
    verifies.add_argument("dump", type=Path, metavar="FOLDER/TIME")
    restores = commands.add_parser("restore", help="put one database back; its service must be stopped")
    restores.add_argument("--from", dest="dump", type=Path, required=True, metavar="FOLDER/TIME")
    restores.add_argument("database", metavar="DATABASE")
    restores.add_argument("--drop", action="store_true", help="delete what the database has")
    options = parser.parse_args(arguments)
    redact_output()
    try:
        if options.command == "dump":
            named = [(k, v.strip()) for k, v in os.environ.items() if k.startswith(_PREFIX)]
            uris = {name[len(_PREFIX) :].lower(): uri for name, uri in named}
            return 1 if (await dump(uris, options.to, options.keep)).missing else 0
        if options.command == "verify":
            return 0 if backup_files.verify(options.dump) else 1
        uri = load_settings(MongoSettings, "backup restore").mongo_uri
        await restore(options.dump, options.database, uri, drop=options.drop)
        return 0
    except (BackupError, PyMongoError, OSError) as error:
        print(f"{options.command} failed: {error}", file=sys.stderr)
        return 1
