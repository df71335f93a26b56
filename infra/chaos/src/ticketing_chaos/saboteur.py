"""The saboteur: damages every part of the market in turn and in pairs, and rolls out other versions."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ticketing_chaos.crowd import Person
from ticketing_chaos.data_checks import CALM
from ticketing_chaos.deeds import DEEDS, MAY_NOT_DELAY_EXPIRY, Means, Scene
from ticketing_chaos.history import Deed, History
from ticketing_chaos.versions import Fleet, Stage

REPLICATED = ["auth", "tickets", "orders", "payments", "expiration", "worker", "client"]
PARTS = [*REPLICATED, "ingress", "nats", "mongod", "redis", "stripe"]

Attack = list[tuple[str, Means]]
"""What is done at once."""

LONG: Attack = [
    ("nats", "outage"),
    ("mongod", "outage"),
    ("stripe", "hang"),
    ("redis", "refuse writes of"),
    ("nats", "backlog at"),
]
"""What takes long, so it is done seldom, and alone."""

_BACK_WITHIN = 120.0


class NotBack(Exception):
    """After an attack no purchase went through."""


@dataclass(frozen=True)
class Saboteur:
    scene: Scene
    fleet: Fleet
    history: History
    canary: Person
    """Who tries to buy something until it works."""
    say: Callable[[str], None]
    hurries: bool = False
    """There is no calm."""
    _working: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def work(self, attacks: Iterator[Attack], stopping: asyncio.Event) -> None:
        """One attack after another until told to stop; at the end every part runs.

        Raises NotBack.
        """
        await self.canary.sign_up(stopping)
        for attack in attacks:
            awaited = self.scene.chance.random() < 0.75  # else the next comes on top of it
            async with self._working:
                await self._attack(attack, awaited)
            if awaited:
                await self._pause(self._calm(), stopping)
            if stopping.is_set():
                return

    async def encore(self) -> None:
        """With the crowd at home: nobody's next order brings the worker to those whose jobs are lost."""
        await self._attack([("redis", "wipe")], awaited=True)

    async def roll_out(self, stage: Stage) -> None:
        """A rolling update, between two attacks. Raises NotBack."""
        async with self._working:
            begun = time.time()
            await self.fleet.roll_out(self.scene.stack, stage)
            what = f"roll out {'/'.join(version.name for version in stage)}"
            await self._note(begun, what, awaited=True, may_delay_expiry=True)

    async def _attack(self, attack: Attack, awaited: bool) -> None:
        what = " and ".join(f"{means} {part}" for part, means in attack)
        begun = time.time()
        await asyncio.gather(*(self._harm(part, means) for part, means in attack))
        may_delay = any(means not in MAY_NOT_DELAY_EXPIRY for _, means in attack)
        await self._note(begun, what, awaited=awaited, may_delay_expiry=may_delay)

    async def _note(self, begun: float, what: str, *, awaited: bool, may_delay_expiry: bool) -> None:
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
        deed = Deed(
            begun=begun, ended=ended, what=what, recovered_in=recovered, may_delay_expiry=may_delay_expiry
        )
        self.history.deeds.append(deed)

    async def _harm(self, part: str, means: Means) -> None:
        await asyncio.sleep(self.scene.chance.uniform(0, 0.3))  # of two at once, either may be the first
        await DEEDS[means](self.scene, part)

    def _calm(self) -> float:
        """Now and then long enough to see what should happen in time."""
        return 0 if self.hurries else self.scene.chance.choice([0, 0.5, 1, 2, CALM + 2])

    async def _pause(self, seconds: float, stopping: asyncio.Event) -> None:
        try:
            await asyncio.wait_for(stopping.wait(), seconds)
        except TimeoutError:
            return


def in_turn_and_in_pairs(chance: random.Random) -> Iterator[Attack]:
    """Every part once, in some order, then as many pairs; and again, until every pair has had its turn.

    After each dozen comes one of those that take long.
    """
    pairs: list[tuple[str, ...]] = []
    long: Attack = []
    while True:
        if len(pairs) < len(PARTS):
            pairs += chance.sample(list(itertools.combinations(PARTS, 2)), 66)
        singles = [(part,) for part in chance.sample(PARTS, len(PARTS))]
        for dozen in (singles, pairs[: len(PARTS)]):
            for victims in dozen:
                yield [each for part in victims for each in _attack_on(part, chance)]
            long = long or chance.sample(LONG, len(LONG))
            yield [long.pop()]
        del pairs[: len(PARTS)]


def _attack_on(part: str, chance: random.Random) -> Attack:
    """On one replica, or on all of them at once."""
    replicas = [part]
    if part in REPLICATED:
        both = [part, f"{part}-2"]
        replicas = chance.choice([both[:1], both[1:], both])
    means: list[Means] = ["kill", "kill", "freeze", "wedge", "restart"]
    chosen = chance.choice([*means, "wipe", "wipe", "wipe"] if part == "redis" else means)
    return [(replica, chosen) for replica in replicas]
