"""Password hashing."""

import asyncio
import time

from auth.passwords import hash_password, verify_password


async def test_password_is_hashed_with_salted_argon2id_and_verified():
    first, second = await asyncio.gather(hash_password("correct horse"), hash_password("correct horse"))
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await verify_password("correct horse", first)
    assert not await verify_password("wrong horse", first)
    assert not await verify_password("the password of nobody", None)


async def test_hashing_does_not_block_the_event_loop():
    hashing = [asyncio.create_task(hash_password("x" * 128)) for _ in range(8)]
    longest = 0.0
    while not all(task.done() for task in hashing):
        started = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - started)
    single = time.perf_counter()
    await hash_password("x" * 128)
    assert longest < 4 * (time.perf_counter() - single)
