"""A MongoDB replica set, as in production, for tests that a standalone server does not suffice for.

servers = [member(free_port(), tmp_path / str(n)) for n in range(3)]
...  # each of them `running`
uri = initiate(servers)
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from ticketing_common.testing.servers import Server, mongod

_NAME = "rs0"


def member(port: int, data_dir: Path, *options: str) -> Server:
    """A mongod that becomes a member of a replica set by `initiate`."""
    standalone = mongod(port, data_dir)
    return replace(standalone, command=[*standalone.command, "--replSet", _NAME, *options])


def initiate(servers: Sequence[Server], **settings: int) -> str:
    """Makes the running servers a replica set with these settings, and waits for its primary.

    Returns a URI without a database.
    """
    hosts = [f"127.0.0.1:{server.port}" for server in servers]
    members = [{"_id": n, "host": host} for n, host in enumerate(hosts)]
    first: MongoClient[dict[str, Any]]
    client: MongoClient[dict[str, Any]]
    with MongoClient(servers[0].url, directConnection=True) as first:
        first.admin.command("replSetInitiate", {"_id": _NAME, "members": members, "settings": settings})
    uri = f"mongodb://{','.join(hosts)}/?replicaSet={_NAME}&readConcernLevel=majority"
    with MongoClient(uri) as client:
        client.admin.command("ping")  # waits for a primary
    return uri
