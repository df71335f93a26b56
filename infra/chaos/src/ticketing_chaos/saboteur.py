"""The saboteur: kills, freezes, wedges and restarts every part of the market in turn and in pairs."""

import asyncio
import itertools
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from ticketing_chaos.crowd import Person
from ticketing_chaos.history import Deed, History
from ticketing_local.stack import Stack

Means = Literal["kill", "freeze", "wedge", "restart", "wipe"]
"""kill -9 · SIGSTOP, and on again · frozen, then killed · SIGTERM · Redis killed, and its data gone."""

PARTS = [
    "auth", "tickets", "orders", "payments", "expiration", "worker", "client",
    "ingress", "nats", "mongod", "redis", "stripe",
]  # fmt: skip

Attack = list[tuple[str, Means]]
"""What is done at once."""

CALM = 5.0
"""Seconds without a deed in which an expired order has no excuse left."""


_BACK_WITHIN = 120.0


class NotBack(Exception):
    """After an attack no purchase went through."""


@dataclass(frozen=True)
class Saboteur:
    stack: Stack
    history: History
    chance: random.Random
    canary: Person
    """Who tries to buy something until it works."""
    say: Callable[[str], None]
    hurries: bool = False
    """There is no calm."""

    async def work(self, attacks: Iterator[Attack], stopping: asyncio.Event) -> None:
        """One attack after another until told to stop; at the end every part runs.

        Raises NotBack.
        """
        await self.canary.sign_up(stopping)
        for attack in attacks:
            awaited = self.chance.random() < 0.75  # else the next comes on top of it
            await self._attack(attack, awaited)
            if awaited:
                await self._pause(self._calm(), stopping)
            if stopping.is_set():
                return

    async def encore(self) -> None:
        """With the crowd at home: nobody's next order brings the worker to those whose jobs are lost."""
        await self._attack([("redis", "wipe")], awaited=True)

    async def _attack(self, attack: Attack, awaited: bool) -> None:
        what = " and ".join(f"{means} {part}" for part, means in attack)
        begun = time.time()
        await asyncio.gather(*(self._harm(part, means) for part, means in attack))
        ended = time.time()
        recovered = None
        if awaited:
            try:
                async with asyncio.timeout(_BACK_WITHIN):
                    await self.canary.until_a_purchase_goes_through()
            except TimeoutError:
                raise NotBack(f"{what}: no purchase went through for {_BACK_WITHIN:g} s") from None
            recovered = time.time() - ended
            self.say(f"{what}: a purchase went through {recovered:.1f} s later")
        deed = Deed(begun=begun, ended=ended, what=what, recovered_in=recovered)
        self.history.deeds.append(deed)

    async def _harm(self, part: str, means: Means) -> None:
        stack, chance = self.stack, self.chance
        await asyncio.sleep(chance.uniform(0, 0.3))  # of two at once, either may be the first
        if means == "restart":
            await stack.stop(part)
        elif means == "freeze":
            stack.pause(part)
            await asyncio.sleep(chance.choice([0.3, 1, 2, 4, 8]) * chance.uniform(0.5, 1))
            stack.resume(part)
            return
        else:
            if means == "wedge":
                stack.pause(part)
                await asyncio.sleep(chance.uniform(0.2, 2))
            await stack.kill(part)
            if means == "wipe":
                shutil.rmtree(stack.data_dir / "redis")
                (stack.data_dir / "redis").mkdir()
        await asyncio.sleep(chance.choice([0, 0, 0.5, 2]))
        await stack.start(part)

    def _calm(self) -> float:
        """Now and then long enough to see what should happen in time."""
        return 0 if self.hurries else self.chance.choice([0, 0.5, 1, 2, CALM + 2])

    async def _pause(self, seconds: float, stopping: asyncio.Event) -> None:
        try:
            await asyncio.wait_for(stopping.wait(), seconds)
        except TimeoutError:
            return


def in_turn_and_in_pairs(chance: random.Random) -> Iterator[Attack]:
    """Every part once, in some order, then as many pairs; and again, until every pair has had its turn."""
    pairs: list[tuple[str, ...]] = []
    while True:
        if len(pairs) < len(PARTS):
            pairs += chance.sample(list(itertools.combinations(PARTS, 2)), 66)
        for victims in [*((part,) for part in chance.sample(PARTS, len(PARTS))), *pairs[: len(PARTS)]]:
            yield [(part, _means(part, chance)) for part in victims]
        del pairs[: len(PARTS)]


def _means(part: str, chance: random.Random) -> Means:
    means: list[Means] = ["kill", "kill", "freeze", "wedge", "restart"]
    return chance.choice([*means, "wipe", "wipe", "wipe"] if part == "redis" else means)
