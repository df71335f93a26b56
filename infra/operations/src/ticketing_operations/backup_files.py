"""The files of a backup: laid out as `mongodump --gzip` does, with a manifest by which they are checked.

    FOLDER/2026-11-25T030000Z/manifest.json
    FOLDER/2026-11-25T030000Z/orders/tickets.bson.gz
    FOLDER/2026-11-25T030000Z/orders/tickets.metadata.json.gz

A dump bears the name `<time>.part` until all of it is on disk, so a half one is never taken for a whole one.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from bson import json_util
from pydantic import BaseModel, ValidationError

from ticketing_common.values.clock import now

_TIME = "%Y-%m-%dT%H%M%SZ"
_IS_DUMP = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(\.part)?")
_LEVEL = 1
"""Of compression: quick, because the server keeps a snapshot for minutes only."""
_LONGEST = 17 * 2**20
"""Bytes: no document is as long."""


class BackupError(Exception):
    """What was asked cannot be done; the message says why."""


class Collection(BaseModel):
    documents: int
    bytes: int
    sha256: str
    metadata_sha256: str


class Dumped(BaseModel):
    """One database: whether all of it is of one moment, and how much of it there is."""

    snapshot: bool
    collections: dict[str, Collection]

    def __str__(self) -> str:
        kept = self.collections.values()
        return f"{sum(c.documents for c in kept)} documents, {sum(c.bytes for c in kept)} bytes"


class Manifest(BaseModel):
    """What a dump consists of: written last, read first."""

    databases: dict[str, Dumped]
    missing: list[str]
    """What could not be dumped, by the names in the environment."""


# Writing


def begin(folder: Path) -> Path:
    """The folder of a new dump, under its provisional name."""
    folder.mkdir(parents=True, exist_ok=True)
    yesterday = (now() - timedelta(days=1)).strftime(_TIME)
    for path in _dumps(folder):
        if path.suffix == ".part" and path.name < yesterday:  # of a dump that was killed
            shutil.rmtree(path)
    part = folder / now().strftime(f"{_TIME}.part")
    part.mkdir()
    return part


def finish(part: Path, manifest: Manifest) -> Path:
    """Give a dump its name. Raises BackupError when there is nothing in it."""
    if not manifest.databases:
        shutil.rmtree(part)
        raise BackupError("nothing was dumped")
    with (part / "manifest.json").open("x") as file:
        file.write(manifest.model_dump_json(indent=1))
        file.flush()
        os.fsync(file.fileno())
    sync(part)
    dump = part.rename(part.with_suffix(""))
    sync(dump.parent)
    return dump


def forget_older(folder: Path, keep: int) -> None:
    """Delete what is older than the last `keep` dumps that miss nothing."""
    complete = [path for path in _dumps(folder) if _is_complete(path)][-keep:]
    for path in _dumps(folder):
        if path.name < complete[0].name:
            shutil.rmtree(path)


@contextmanager
def on_disk(path: Path) -> Iterator[gzip.GzipFile]:
    """A file to write, which is on disk once the block is left."""
    with path.open("xb") as raw:
        with gzip.GzipFile("", "wb", _LEVEL, raw) as file:
            yield file
        raw.flush()
        os.fsync(raw.fileno())


def sync(folder: Path) -> None:
    """Have on disk what the folder lists."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dumps(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _IS_DUMP.fullmatch(path.name))


def _is_complete(path: Path) -> bool:
    try:
        return not read_manifest(path).missing
    except BackupError:
        return False


# Reading


def read_manifest(dump: Path) -> Manifest:
    """Raises BackupError unless the dump was finished."""
    if dump.suffix == ".part":
        raise BackupError(f"{dump} was not finished")
    try:
        return Manifest.model_validate_json((dump / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise BackupError(f"{dump} has no manifest that can be read") from error


def read_metadata(database: Path, collection: str) -> dict[str, Any]:
    """A collection's options and indexes."""
    with gzip.open(database / f"{collection}.metadata.json.gz") as file:
        found: dict[str, Any] = json_util.loads(file.read(), json_options=json_util.CANONICAL_JSON_OPTIONS)
        return found


def documents(database: Path, collection: str) -> Iterator[bytes]:
    """A collection's documents, each as it was stored. Raises BackupError for what is no BSON."""
    path = database / f"{collection}.bson.gz"
    with gzip.open(path) as unzipped, io.BufferedReader(unzipped, 2**20) as file:
        while head := file.read(4):
            size = int.from_bytes(head, "little")
            document = head + file.read(size - 4) if 5 <= size <= _LONGEST else b""
            if len(document) != size or document[-1] != 0:
                raise BackupError(f"{path.name} is not BSON")
            yield document


def measure(database: Path, collection: str) -> Collection:
    """Read a collection's files back. Raises BackupError, and what damaged ones make gzip raise."""
    number = size = 0
    for document in documents(database, collection):
        number += 1
        size += len(document)
    return Collection(
        documents=number,
        bytes=size,
        sha256=_sha256(database / f"{collection}.bson.gz"),
        metadata_sha256=_sha256(database / f"{collection}.metadata.json.gz"),
    )


def damage(database: Path, dumped: Dumped) -> list[str]:
    """What is wrong with a database's files; empty when they are as they were written."""
    found = []
    for collection, written in dumped.collections.items():
        try:
            if measure(database, collection) != written:
                found.append(f"{collection} is not as it was written")
        except (OSError, EOFError, zlib.error, BackupError) as error:
            found.append(f"{collection} cannot be read: {error}")
    return found


def verify(dump: Path) -> bool:
    """Print what there is of each database. Returns whether all of it is there and good."""
    manifest = read_manifest(dump)
    good = not manifest.missing
    for name, dumped in manifest.databases.items():
        found = damage(dump / name, dumped)
        good = good and not found
        print(f"{name}: {'DAMAGED, ' + '; '.join(found) if found else f'good, {dumped}'}")
    for name in manifest.missing:
        print(f"{name}: MISSING, it could not be dumped")
    return good


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
