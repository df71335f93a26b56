"""The files of a backup: those of `mongodump --gzip`, and a manifest with their hashes.

    FOLDER/2026-11-25T030000Z/manifest.json
    FOLDER/2026-11-25T030000Z/orders/tickets.bson.gz
    FOLDER/2026-11-25T030000Z/orders/tickets.metadata.json.gz

Until a dump is complete and on disk, its name ends in `.part`, and no command reads it.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import bson
from bson import json_util
from bson.errors import InvalidBSON
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from pydantic import BaseModel, ValidationError

from ticketing_common.values.clock import now

_TIME = "%Y-%m-%dT%H%M%SZ"
_DUMP_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(\.part)?")
_COMPRESSION = 1
"""The fastest level, because the server keeps a snapshot only for minutes."""
_READ_BUFFER = 2**20
"""Bytes."""


class BackupError(Exception):
    """A dump or restore that is impossible; the message says why."""


class DumpedCollection(BaseModel):
    documents: int
    bytes: int
    sha256: str
    """Of the compressed documents."""
    metadata_sha256: str


class DumpedDatabase(BaseModel):
    snapshot: bool
    """Whether all collections were read at the same moment."""
    collections: dict[str, DumpedCollection]

    def __str__(self) -> str:
        dumped = self.collections.values()
        return f"{sum(c.documents for c in dumped)} documents, {sum(c.bytes for c in dumped)} bytes"


class Manifest(BaseModel):
    """The content of a dump. Written last, read first."""

    databases: dict[str, DumpedDatabase]
    missing: list[str]
    """The names of databases that could not be dumped, as in their environment variables."""


# Writing


def create_dump(folder: Path) -> Path:
    """Creates the folder of a new dump, under its temporary name. Deletes those of dumps that were killed."""
    folder.mkdir(parents=True, exist_ok=True)
    yesterday = (now() - timedelta(days=1)).strftime(_TIME)
    for path in _list_dumps(folder):
        if path.suffix == ".part" and path.name < yesterday:
            shutil.rmtree(path)
    part = folder / now().strftime(f"{_TIME}.part")
    part.mkdir()
    return part


def complete_dump(part: Path, manifest: Manifest) -> Path:
    """Writes the manifest and renames the dump. Raises BackupError if no database was dumped."""
    if not manifest.databases:
        shutil.rmtree(part)
        raise BackupError("nothing was dumped")
    with (part / "manifest.json").open("x") as file:
        file.write(manifest.model_dump_json(indent=1))
    sync_files(part)
    dump = part.rename(part.with_suffix(""))
    sync(dump.parent)
    return dump


def delete_older_dumps(folder: Path, keep: int) -> None:
    """Deletes everything older than the last `keep` complete dumps."""
    oldest = [path for path in _list_dumps(folder) if _is_complete(path)][-keep:][0]
    for path in _list_dumps(folder):
        if path.name < oldest.name:
            shutil.rmtree(path)


def open_documents(database: Path, collection: str) -> gzip.GzipFile:
    """A new file for the documents of a collection, in BSON."""
    return gzip.GzipFile(_documents_path(database, collection), "xb", _COMPRESSION)


def write_metadata(database: Path, collection: str, metadata: Mapping[str, Any]) -> None:
    text = json_util.dumps(metadata, json_options=json_util.CANONICAL_JSON_OPTIONS)
    with gzip.GzipFile(_metadata_path(database, collection), "xb", _COMPRESSION) as file:
        file.write(text.encode())


def sync_files(folder: Path) -> None:
    """Waits until the folder and what is directly in it are on disk."""
    for path in (*folder.iterdir(), folder):
        sync(path)


def sync(path: Path) -> None:
    """Waits until a file, or the list of a folder's entries, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _list_dumps(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(path for path in folder.iterdir() if _DUMP_NAME.fullmatch(path.name))


def _is_complete(dump: Path) -> bool:
    try:
        return not read_manifest(dump).missing
    except BackupError:
        return False


# Reading


def read_manifest(dump: Path) -> Manifest:
    """Raises BackupError if there is none, or if the dump was not finished."""
    if dump.suffix == ".part":
        raise BackupError(f"{dump} was not finished")
    try:
        return Manifest.model_validate_json((dump / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise BackupError(f"{dump} has no valid manifest") from error


def read_metadata(database: Path, collection: str) -> dict[str, Any]:
    """The options and indexes of a collection."""
    text = gzip.decompress(_metadata_path(database, collection).read_bytes())
    metadata: dict[str, Any] = json_util.loads(text, json_options=json_util.CANONICAL_JSON_OPTIONS)
    return metadata


def read_documents(database: Path, collection: str) -> Iterator[RawBSONDocument]:
    """The documents of a collection, one at a time, exactly as MongoDB stored them."""
    with (
        gzip.open(_documents_path(database, collection)) as unzipped,
        io.BufferedReader(unzipped, _READ_BUFFER) as file,
    ):
        yield from bson.decode_file_iter(file, DEFAULT_RAW_BSON_OPTIONS)


def read_back(database: Path, collection: str) -> DumpedCollection:
    """Reads the files of a collection that have just been written. Raises BackupError if one is damaged."""
    count = size = 0
    try:
        for document in read_documents(database, collection):
            count += 1
            size += len(document.raw)
        return DumpedCollection(
            documents=count,
            bytes=size,
            sha256=_hash(_documents_path(database, collection)),
            metadata_sha256=_hash(_metadata_path(database, collection)),
        )
    except (EOFError, zlib.error, InvalidBSON) as error:
        raise BackupError(f"{collection} was not written correctly: {error}") from error


def find_damage(database: Path, dumped: DumpedDatabase) -> list[str]:
    """What is wrong with the files of a database; empty if they are as they were written."""
    damage = []
    for collection, written in dumped.collections.items():
        try:
            if _hash(_documents_path(database, collection)) != written.sha256:
                damage.append(f"the documents of {collection} have changed")
            if _hash(_metadata_path(database, collection)) != written.metadata_sha256:
                damage.append(f"the metadata of {collection} has changed")
        except OSError as error:
            damage.append(f"{collection} cannot be read: {error}")
    return damage


def verify(dump: Path) -> bool:
    """Prints the state of each database. Returns whether all were dumped and none is damaged."""
    manifest = read_manifest(dump)
    is_good = not manifest.missing
    for name, dumped in manifest.databases.items():
        damage = find_damage(dump / name, dumped)
        is_good = is_good and not damage
        print(f"{name}: {'DAMAGED, ' + '; '.join(damage) if damage else f'good, {dumped}'}")
    for name in manifest.missing:
        print(f"{name}: MISSING, it could not be dumped")
    return is_good


def _documents_path(database: Path, collection: str) -> Path:
    return database / f"{collection}.bson.gz"


def _metadata_path(database: Path, collection: str) -> Path:
    return database / f"{collection}.metadata.json.gz"


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
