"""Dumps databases into files, verifies a dump, or restores one database from it.

    MONGO_URI_AUTH=... MONGO_URI_ORDERS=... python -m ticketing_operations backup dump --to FOLDER [--keep 14]
    python -m ticketing_operations backup verify FOLDER/TIME
    MONGO_URI=... python -m ticketing_operations backup restore --from FOLDER/TIME DATABASE [--drop]

A dump contains every database that a variable MONGO_URI_<NAME> names; `mongorestore --gzip` reads it, too.
docs/backups.md says what else to do before the service of a restored database starts.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure, PyMongoError

from ticketing_common.config import MongoSettings, load_settings
from ticketing_common.observability.logs import redact_output
from ticketing_common.storage.mongo import Database, connect, ping
from ticketing_operations import backup_files
from ticketing_operations.arguments import command_parser
from ticketing_operations.backup_files import BackupError, DumpedDatabase, Manifest

# Seconds. They replace the time-outs of `connect`; within them the driver retries by itself.
_PING_TIMEOUT = 15.0
_DUMP_TIMEOUT = 1800.0
"""For a database. Longer than the 5 minutes for which a server keeps a snapshot by default."""
_INSERT_TIMEOUT = 60.0
"""For a batch."""
_READ_BATCH = 500
"""Documents. Without a limit the server sends 16 MB, of which the driver holds several copies."""
_INSERT_BATCH = 8 * 2**20
"""Bytes."""
_SNAPSHOT_TOO_OLD = 239
"""MongoDB's error code."""
_PREFIX = "MONGO_URI_"


async def dump(uris: Mapping[str, str], folder: Path, keep: int) -> Manifest:
    """Dumps the databases one after the other. Prints those that fail, and continues with the next one.

    A complete dump deletes all but the last `keep` ones. Raises BackupError if no database could be dumped.
    """
    if not uris:
        raise BackupError("no variable MONGO_URI_<NAME> names a database")
    part = backup_files.create_dump(folder)
    manifest = Manifest(databases={}, missing=[])
    for name, uri in sorted(uris.items()):
        started = time.monotonic()
        try:
            database = connect(uri)
            dumped = await _dump_database(database, part / database.name)
        except (PyMongoError, BackupError, OSError) as error:
            print(f"{name}: not dumped: {_reason(error)}", file=sys.stderr, flush=True)
            manifest.missing.append(name)
            continue
        manifest.databases[database.name] = dumped
        note = "" if dumped.snapshot else ", not of one moment: the server is no replica set"
        print(f"{name}: {dumped}, {time.monotonic() - started:.1f} s{note}", flush=True)
    path = backup_files.complete_dump(part, manifest)
    print(f"{path} {'lacks ' + ', '.join(manifest.missing) if manifest.missing else 'is complete'}")
    if not manifest.missing:
        backup_files.delete_older_dumps(folder, keep)
    return manifest


async def _dump_database(database: Database, into: Path) -> DumpedDatabase:
    os.mkdir(into)  # fails if another database has the same name
    try:
        with pymongo.timeout(_PING_TIMEOUT):
            await ping(database)
        with pymongo.timeout(_DUMP_TIMEOUT):
            return await _dump_collections(database, into)
    except BaseException:
        shutil.rmtree(into)
        raise


async def _dump_collections(database: Database, into: Path) -> DumpedDatabase:
    collections = await _list_collections(database)
    if not collections:
        raise BackupError(f"there is nothing in {database.name}: is that its name?")
    # A snapshot reads all collections as they were at one moment. Without it, a dump could contain two
    # active orders of one ticket.
    is_replica_set = "setName" in await database.command("hello")
    # AsyncMongoClient's start_session is not awaited.
    snapshot = await database.client.start_session(snapshot=True) if is_replica_set else nullcontext()
    async with snapshot as session:
        for collection in collections:
            name = collection["name"]
            backup_files.write_metadata(into, name, await _read_metadata(database, collection))
            with backup_files.open_documents(into, name) as file:
                batches = database[name].find_raw_batches({}, batch_size=_READ_BATCH, session=session)
                async for batch in batches:
                    file.write(batch)
    backup_files.sync_files(into)
    return DumpedDatabase(
        snapshot=is_replica_set,
        collections={each["name"]: backup_files.read_back(into, each["name"]) for each in collections},
    )


async def _list_collections(database: Database) -> list[dict[str, Any]]:
    listed = await database.command("listCollections", filter={"type": "collection"})
    return [each for each in listed["cursor"]["firstBatch"] if not each["name"].startswith("system.")]


async def _read_metadata(database: Database, collection: dict[str, Any]) -> dict[str, Any]:
    """The options and indexes of a collection, in the form of mongodump."""
    indexes = await database.command("listIndexes", collection["name"])
    return {
        "options": collection["options"],
        "indexes": indexes["cursor"]["firstBatch"],
        "uuid": collection["info"]["uuid"].hex(),
        "collectionName": collection["name"],
        "type": "collection",
    }


async def restore(dump: Path, name: str, uri: str, *, drop: bool) -> None:
    """Restores the dumped database `name` into the database of the URI, which must be empty unless `drop`.

    Creates the indexes of a collection before it inserts documents, so unique indexes hold from the start.
    Raises BackupError, before any change unless the message says that the database is half restored.
    """
    started = time.monotonic()
    manifest = backup_files.read_manifest(dump)
    if name not in manifest.databases:
        raise BackupError(f"{dump} has no {name}, but {', '.join(manifest.databases)}")
    dumped = manifest.databases[name]
    if damage := backup_files.find_damage(dump / name, dumped):
        raise BackupError(f"{dump / name} is damaged: {'; '.join(damage)}")
    database = connect(uri)
    await _check_target(database, name, drop=drop)
    try:
        with pymongo.timeout(_INSERT_TIMEOUT):
            await database.client.drop_database(database.name)
        for collection in dumped.collections:
            await _restore_collection(database, dump / name, collection)
    except PyMongoError as error:
        raise BackupError(
            f"{database.name} is half restored, run the command again with --drop: {error}"
        ) from error
    print(f"{database.name}: {dumped}, {time.monotonic() - started:.1f} s")


async def _check_target(database: Database, name: str, *, drop: bool) -> None:
    """Raises BackupError if a restore would delete documents without `drop`, or of another database."""
    if drop and database.name != name:
        raise BackupError(f"--drop would replace {database.name} by {name}")
    for collection in await _list_collections(database):
        if not drop and await database[collection["name"]].find_one({}, {"_id": 1}):
            raise BackupError(f"{database.name} has documents in {collection['name']}; --drop deletes them")


async def _restore_collection(database: Database, folder: Path, name: str) -> None:
    metadata = backup_files.read_metadata(folder, name)
    await database.command({"create": name, **metadata["options"]})
    if indexes := [index for index in metadata["indexes"] if index["name"] != "_id_"]:
        await database.command("createIndexes", name, indexes=indexes)
    for batch in _batch(backup_files.read_documents(folder, name)):
        with pymongo.timeout(_INSERT_TIMEOUT):
            await database[name].insert_many(batch)


def _batch(documents: Iterable[RawBSONDocument]) -> Iterator[list[RawBSONDocument]]:
    """Batches of `_INSERT_BATCH` bytes, because `insert_many` reads all documents before it sends any."""
    batch: list[RawBSONDocument] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.raw)
        if size >= _INSERT_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _reason(error: Exception) -> str:
    if isinstance(error, OperationFailure) and error.code == _SNAPSHOT_TOO_OLD:
        return "it took longer than the server keeps a snapshot: raise minSnapshotHistoryWindowInSeconds"
    return str(error)[:500]


def _positive_int(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


async def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    redact_output()
    try:
        if options.command == "dump":
            variables = {k: v.strip() for k, v in os.environ.items() if k.startswith(_PREFIX)}
            uris = {name.removeprefix(_PREFIX).lower(): uri for name, uri in variables.items()}
            return 1 if (await dump(uris, options.to, options.keep)).missing else 0
        if options.command == "verify":
            return 0 if backup_files.verify(options.dump) else 1
        uri = load_settings(MongoSettings, "backup restore").mongo_uri
        await restore(options.dump, options.database, uri, drop=options.drop)
        return 0
    except (BackupError, PyMongoError, OSError) as error:
        print(f"{options.command} failed: {error}", file=sys.stderr)
        return 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = command_parser("backup", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    dump_parser = commands.add_parser("dump", help="dump every database that an environment variable names")
    dump_parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    dump_parser.add_argument(
        "--keep", type=_positive_int, default=14, help="complete dumps; older ones are deleted (default: 14)"
    )
    verify_parser = commands.add_parser("verify", help="check that a dump is complete and not damaged")
    verify_parser.add_argument("dump", type=Path, metavar="FOLDER/TIME")
    restore_parser = commands.add_parser("restore", help="restore a database; its service must be stopped")
    restore_parser.add_argument("--from", dest="dump", type=Path, required=True, metavar="FOLDER/TIME")
    restore_parser.add_argument("database", metavar="DATABASE")
    restore_parser.add_argument("--drop", action="store_true", help="delete the present database first")
    return parser.parse_args(arguments)
