"""The only import of the MongoDB driver's client: connecting, and the errors of a MongoDB that is
unavailable.

Uses only what motor and PyMongo's AsyncMongoClient have in common, so that a change of driver stays in this
file (docs/decisions/0019-mongodb-driver-behind-one-module.md).
"""

from datetime import UTC
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient as MongoClient
from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import WriteConcern
from pymongo.errors import ConnectionFailure, ExecutionTimeout, WriteConcernError

MONGO_UNAVAILABLE = (ConnectionFailure, ExecutionTimeout, WriteConcernError)
"""What the driver raises while the server is unreachable, too slow, without a primary, or stopping.

A write that raises one of these may have been applied, but is not durable.
"""

MAX_CONNECTIONS = 50

Database: TypeAlias = "AsyncIOMotorDatabase[dict[str, Any]]"


def connect(uri: str) -> Database:
    """The database that the URI names. A write is acknowledged once a majority has it in the journal."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        uri,
        w="majority",
        journal=True,
        retryWrites=_names_replica_set(uri),
        timeoutMS=5_000,
        serverSelectionTimeoutMS=2_000,
        connectTimeoutMS=2_000,
        waitQueueTimeoutMS=2_000,
        maxPoolSize=MAX_CONNECTIONS,
    )
    return client.get_default_database(codec_options=CodecOptions(tz_aware=True, tzinfo=UTC))


async def ping(database: Database) -> None:
    """Raises one of MONGO_UNAVAILABLE unless the server answers now."""
    await database.command("ping")


def without_journal(collection: Any) -> Any:
    """The collection, with writes that are acknowledged at once, and that a crash of MongoDB may undo."""
    return collection.with_options(write_concern=WriteConcern(w=1, j=False))


def _names_replica_set(uri: str) -> bool:
    """Whether the driver may retry writes: only a replica set recognises a repeated write.

    With a standalone server PyMongo (4.20) gives up the retry, takes the first attempt's error for one of its
    new connection and drops all connections, so every following write fails, too.
    """
    return uri.startswith("mongodb+srv://") or "replicaset" in parse_qs(urlsplit(uri).query.lower())
