"""A Redis that answers and takes no writes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from redis import Redis

from ticketing_common.testing.servers import free_port


@contextmanager
def limited(redis: Redis, maxmemory: int) -> Iterator[None]:
    """With so many bytes of memory and the manifests' policy: nothing is evicted, an addition is an error."""
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", maxmemory)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


def full(redis: Redis) -> AbstractContextManager[None]:
    """Full, whatever is removed."""
    return limited(redis, 1)


@contextmanager
def refusing_writes(redis: Redis) -> Iterator[None]:
    """The replica of a server that is not there: it can be read, and each write is an error."""
    redis.replicaof("127.0.0.1", str(free_port()))
    try:
        yield
    finally:
        redis.replicaof("NO", "ONE")
