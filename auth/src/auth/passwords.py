"""Password hashing: Argon2id, off the event loop, a bounded number at once."""

import anyio
from anyio import CapacityLimiter, to_thread
from passlib.hash import argon2

# The first choice of OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane.
_ARGON2ID = argon2.using(type="ID", memory_cost=19 * 1024, time_cost=2, parallelism=1)  # type: ignore[no-untyped-call]

_AT_ONCE = 2
"""Each takes a core for some 30 ms and 19 MiB; more at once would starve the requests beside them."""

_limiters: anyio.lowlevel.RunVar[CapacityLimiter] = anyio.lowlevel.RunVar("argon2")


async def hash_password(password: str) -> str:
    return str(await to_thread.run_sync(_ARGON2ID.hash, password, limiter=_limiter()))


async def matches(password: str, password_hash: str | None) -> bool:
    """Whether the password fits; takes as long where there is no account (None)."""
    known = password_hash or _NOBODYS
    fits = bool(await to_thread.run_sync(_ARGON2ID.verify, password, known, limiter=_limiter()))
    return fits and password_hash is not None


def _limiter() -> CapacityLimiter:
    try:
        return _limiters.get()
    except LookupError:
        limiter = CapacityLimiter(_AT_ONCE)
        _limiters.set(limiter)
        return limiter


_NOBODYS = str(_ARGON2ID.hash("the password of nobody"))
