"""Makes a Redis server reject writes while it still responds."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from redis import Redis

from ticketing_common.testing.servers import free_port


@contextmanager
def limited(redis: Redis, maxmemory: int) -> Iterator[None]:
    """Limit Redis to `maxmemory` bytes, with the policy of the manifests: it evicts nothing."""
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", maxmemory)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


def full(redis: Redis) -> AbstractContextManager[None]:
    """Make Redis reject every addition, even after removals."""
    return limited(redis, 1)


@contextmanager
def refusing_writes(redis: Redis) -> Iterator[None]:
    """Make Redis the replica of a missing server: it rejects every write."""
    redis.replicaof("127.0.0.1", str(free_port()))
    try:
        yield
    finally:
        redis.replicaof("NO", "ONE")
