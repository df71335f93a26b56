"""The hashing of passwords."""

import asyncio
import time

from auth.passwords import hash_password, matches


async def test_a_hash_is_argon2id_salted_and_checked():
    first, second = await asyncio.gather(hash_password("correct horse"), hash_password("correct horse"))
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await matches("correct horse", first)
    assert not await matches("wrong horse", first)
    assert not await matches("the password of nobody", None)


async def test_hashing_does_not_block_the_event_loop():
    hashing = [asyncio.create_task(hash_password("x" * 128)) for _ in range(8)]
    longest = 0.0
    while not all(task.done() for task in hashing):
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - begun)
    one = time.perf_counter()
    await hash_password("x" * 128)
    assert longest < 4 * (time.perf_counter() - one)
