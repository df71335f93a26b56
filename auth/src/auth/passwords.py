"""Password hashing with Argon2id, in a bounded number of threads beside the event loop."""

import anyio
from anyio import CapacityLimiter, to_thread
from passlib.hash import argon2

# OWASP's Password Storage Cheat Sheet, first choice: 19 MiB, two passes, one lane.
_ARGON2ID = argon2.using(type="ID", memory_cost=19 * 1024, time_cost=2, parallelism=1)  # type: ignore[no-untyped-call]

_MAX_THREADS = 2
"""Each hash takes about 30 ms of a core and 19 MiB; more at once would starve other requests."""

_limiters: anyio.lowlevel.RunVar[CapacityLimiter] = anyio.lowlevel.RunVar("argon2")


async def hash_password(password: str) -> str:
    return str(await to_thread.run_sync(_ARGON2ID.hash, password, limiter=_limiter()))


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether the password matches the hash. Takes as long without a hash (None), and returns False."""
    compared_hash = password_hash or _DUMMY_HASH
    matches = bool(await to_thread.run_sync(_ARGON2ID.verify, password, compared_hash, limiter=_limiter()))
    return matches and password_hash is not None


def _limiter() -> CapacityLimiter:
    try:
        return _limiters.get()
    except LookupError:
        limiter = CapacityLimiter(_MAX_THREADS)
        _limiters.set(limiter)
        return limiter


_DUMMY_HASH = str(_ARGON2ID.hash("the password of nobody"))
