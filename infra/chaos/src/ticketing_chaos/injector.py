"""The fault injector: faults in single processes and in pairs, long faults, and rolling updates."""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from ticketing_chaos.faults import KINDS, MUST_NOT_DELAY_EXPIRY, Context
from ticketing_chaos.history import Fault
from ticketing_chaos.invariants.stored import CALM_SECONDS
from ticketing_chaos.users import User
from ticketing_chaos.versions import Deployment, Release

_REPLICATED = ["auth", "tickets", "orders", "payments", "expiration", "worker", "client"]
_PROCESSES = [*_REPLICATED, "ingress", "nats", "mongod", "redis", "stripe"]
_RECOVERY_TIMEOUT = 120.0

Injection = list[tuple[str, str]]  # processes and the kind of fault of each, injected at the same time

LONG_FAULTS: Injection = [
    *(("nats", "outage"), ("mongod", "outage"), ("nats", "backlog")),
    *(("stripe", "slow-responses"), ("redis", "reject-writes")),
]
"""Injected one at a time, after each dozen of others."""


class NotRecovered(Exception):
    """No purchase succeeded after a fault."""


@dataclass(frozen=True)
class FaultInjector:
    context: Context
    deployment: Deployment
    canary: User  # tries to purchase after a fault, which gives the time to recovery
    has_calm: bool = True  # whether there are pauses between faults
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, injections: Iterator[Injection], stopping: asyncio.Event) -> None:
        """Inject until `stopping` is set; then every process is running. Raises NotRecovered."""
        rng = self.context.rng
        await self.canary.sign_up(stopping)
        for injection in injections:
            waits = rng.random() < 0.75  # otherwise the next fault comes before the recovery
            await self.inject(injection, waits=waits)
            # Sometimes calm for long enough to check what must happen in time.
            calm = rng.choice([0, 0.5, 1, 2, CALM_SECONDS + 2]) if waits and self.has_calm else 0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), calm)
            if stopping.is_set():
                return

    async def inject(self, injection: Injection, *, waits: bool = True) -> None:
        """`waits`: until a purchase succeeds. Raises NotRecovered."""
        description = ", ".join(f"{kind} {process}" for process, kind in injection)
        may_delay_expiry = any(kind not in MUST_NOT_DELAY_EXPIRY for _, kind in injection)
        async with self._recording(description, waits=waits, may_delay_expiry=may_delay_expiry):
            await asyncio.gather(*(self._inject(process, kind) for process, kind in injection))

    async def roll_out(self, release: Release) -> None:
        """Do a rolling update between two faults. Raises NotRecovered."""
        async with self._recording(f"roll-out {'/'.join(version.name for version in release)}"):
            await self.deployment.roll_out(self.context.stack, release)

    async def _inject(self, process: str, kind: str) -> None:
        await asyncio.sleep(self.context.rng.uniform(0, 0.3))  # so that either of two may be the first
        await KINDS[kind](self.context, process)

    @contextlib.asynccontextmanager
    async def _recording(
        self, description: str, *, waits: bool = True, may_delay_expiry: bool = True
    ) -> AsyncIterator[None]:
        async with self._lock:
            started_at, recovered_in = time.time(), None
            yield
            ended_at = time.time()
            if waits:
                try:
                    async with asyncio.timeout(_RECOVERY_TIMEOUT):
                        while not await self.canary.try_to_purchase():
                            await self.canary.pause()
                except TimeoutError:
                    raise NotRecovered(f"{description}: no purchase in {_RECOVERY_TIMEOUT:g} s") from None
                recovered_in = time.time() - ended_at
                print(f"  {description}: recovered in {recovered_in:.1f} s", flush=True)
            fault = Fault(started_at, ended_at, description, recovered_in, may_delay_expiry)
            self.context.world.history.faults.append(fault)


def plan_injections(rng: random.Random) -> Iterator[Injection]:
    """Every process once, then as many pairs, each dozen followed by a long fault; and again."""
    pairs: list[tuple[str, ...]] = []
    long_faults: Injection = []
    while True:
        if len(pairs) < len(_PROCESSES):  # until every pair had its turn
            pairs += rng.sample(list(itertools.combinations(_PROCESSES, 2)), 66)
        singles = [(process,) for process in rng.sample(_PROCESSES, len(_PROCESSES))]
        for dozen in (singles, pairs[: len(_PROCESSES)]):
            for processes in dozen:
                yield [each for process in processes for each in _choose_fault(process, rng)]
            long_faults = long_faults or rng.sample(LONG_FAULTS, len(LONG_FAULTS))
            yield [long_faults.pop()]
        del pairs[: len(_PROCESSES)]


def _choose_fault(process: str, rng: random.Random) -> Injection:
    """A fault of one replica, or of all replicas at once."""
    second = f"{process}-2"
    replicas = [[process], [second], [process, second]] if process in _REPLICATED else [[process]]
    kinds = ["kill", "kill", "freeze", "freeze-and-kill", "restart"]
    kind = rng.choice([*kinds, "wipe", "wipe", "wipe"] if process == "redis" else kinds)
    return [(replica, kind) for replica in rng.choice(replicas)]
