"""What can be done to a part of the market, each by its name."""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import httpx
from redis.asyncio import Redis

from ticketing_chaos.backlog import Backlog
from ticketing_common.testing.servers import free_port
from ticketing_local.stack import Stack

Means = Literal[
    "kill", "freeze", "wedge", "restart", "wipe", "outage", "refuse writes of", "hang", "backlog at"
]

_OUTAGE = {"nats": (60.0, 75.0), "mongod": (20.0, 30.0)}
"""Seconds. Longer than the listeners' and the drivers' time-outs."""
_REFUSAL = (10.0, 30.0)
_HANGING = (10.0, 30.0)
_HUNG_ANSWER = 60
"""Seconds that Stripe takes for an answer: longer than anybody waits."""


@dataclass(frozen=True)
class Scene:
    """Where it is done, and the choices in it."""

    stack: Stack
    chance: random.Random
    backlog: Backlog


async def kill(scene: Scene, part: str) -> None:
    """kill -9."""
    await scene.stack.kill(part)
    await _start_again(scene, part)


async def restart(scene: Scene, part: str) -> None:
    """SIGTERM."""
    await scene.stack.stop(part)
    await _start_again(scene, part)


async def freeze(scene: Scene, part: str) -> None:
    """SIGSTOP, up to 8 s."""
    scene.stack.pause(part)
    await asyncio.sleep(scene.chance.choice([0.3, 1, 2, 4, 8]) * scene.chance.uniform(0.5, 1))
    scene.stack.resume(part)


async def wedge(scene: Scene, part: str) -> None:
    """Frozen, then killed."""
    scene.stack.pause(part)
    await asyncio.sleep(scene.chance.uniform(0.2, 2))
    await kill(scene, part)


async def wipe(scene: Scene, part: str) -> None:
    """Redis killed, and its data gone."""
    await scene.stack.kill(part)
    shutil.rmtree(scene.stack.data_dir / part)
    (scene.stack.data_dir / part).mkdir()
    await _start_again(scene, part)


async def _start_again(scene: Scene, part: str) -> None:
    await asyncio.sleep(scene.chance.choice([0, 0, 0.5, 2]))
    await scene.stack.start(part)


async def cause_outage(scene: Scene, part: str) -> None:
    """Stopped for a minute or so."""
    await scene.stack.stop(part)
    await asyncio.sleep(scene.chance.uniform(*_OUTAGE[part]))
    await scene.stack.start(part)


async def refuse_writes(scene: Scene, _part: str) -> None:
    """Redis answers, and takes no write: it is full, or a replica of a server that is gone."""
    async with Redis.from_url(scene.stack.env["REDIS_URL"]) as redis:
        is_full = scene.chance.random() < 0.5
        if is_full:
            await redis.config_set("maxmemory", 1)
        else:
            await redis.replicaof("127.0.0.1", free_port())
        await asyncio.sleep(scene.chance.uniform(*_REFUSAL))
        if is_full:
            await redis.config_set("maxmemory", 0)
        else:
            await redis.replicaof("NO", "ONE")


async def hang_answers(scene: Scene, _part: str) -> None:
    """Half of Stripe's answers take a minute."""
    env = scene.stack.env
    auth = (env["STRIPE_KEY"], "")
    async with httpx.AsyncClient(base_url=env["STRIPE_API_BASE"], auth=auth, trust_env=False) as stripe:
        fault = {"kind": "delay", "seconds": _HUNG_ANSWER, "share": 0.5}
        (await stripe.post("/_faults", json=fault)).raise_for_status()
        await asyncio.sleep(scene.chance.uniform(*_HANGING))
        (await stripe.delete("/_faults")).raise_for_status()


async def build_backlog(scene: Scene, part: str) -> None:
    """NATS is stopped until thousands of events wait in the outboxes."""
    await scene.backlog.prepare()
    await scene.stack.stop(part)
    await scene.backlog.build()
    await scene.stack.start(part)


DEEDS: dict[Means, Callable[[Scene, str], Awaitable[None]]] = {
    "kill": kill,
    "freeze": freeze,
    "wedge": wedge,
    "restart": restart,
    "wipe": wipe,
    "outage": cause_outage,
    "refuse writes of": refuse_writes,
    "hang": hang_answers,
    "backlog at": build_backlog,
}

MAY_NOT_DELAY_EXPIRY: set[Means] = {"refuse writes of", "hang"}
"""The ledger in MongoDB is the truth, and Stripe has no part in it."""
