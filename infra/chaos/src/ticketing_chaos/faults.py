"""The kinds of faults that can be injected into a process."""

import asyncio
import contextlib
import random
import shutil
from dataclasses import dataclass

import httpx
from redis.asyncio import Redis

from ticketing_chaos.users import User, World
from ticketing_common.testing.servers import free_port
from ticketing_common.values.ids import new_id
from ticketing_local.stack import Stack

# Ranges of seconds. Outages are longer than the time-outs of the consumers and the drivers.
_OUTAGE = {"nats": (60.0, 75.0), "mongod": (20.0, 30.0)}
_REJECTION = _SLOWNESS = (10.0, 30.0)
_SLOW_RESPONSE_SECONDS = 60  # longer than any client waits
_BACKLOG_USERS, _BACKLOG_SECONDS = 40, 45


@dataclass(frozen=True)
class Context:
    """What a fault needs."""

    stack: Stack
    rng: random.Random
    world: World


async def kill(context: Context, process: str) -> None:
    """SIGKILL, then start it again."""
    await context.stack.kill(process)
    await _start_again(context, process)


async def restart(context: Context, process: str) -> None:
    """SIGTERM, then start it again."""
    await context.stack.stop(process)
    await _start_again(context, process)


async def freeze(context: Context, process: str) -> None:
    """SIGSTOP for up to 8 s, then SIGCONT."""
    context.stack.pause(process)
    await asyncio.sleep(context.rng.choice([0.3, 1, 2, 4, 8]) * context.rng.uniform(0.5, 1))
    context.stack.resume(process)


async def freeze_and_kill(context: Context, process: str) -> None:
    context.stack.pause(process)
    await asyncio.sleep(context.rng.uniform(0.2, 2))
    await kill(context, process)


async def wipe(context: Context, process: str) -> None:
    """Kill a store, delete its data, and start it again."""
    await context.stack.kill(process)
    shutil.rmtree(context.stack.data_dir / process)
    (context.stack.data_dir / process).mkdir()
    await _start_again(context, process)


async def _start_again(context: Context, process: str) -> None:
    await asyncio.sleep(context.rng.choice([0, 0, 0.5, 2]))
    await context.stack.start(process)


async def outage(context: Context, process: str) -> None:
    await context.stack.stop(process)
    await asyncio.sleep(context.rng.uniform(*_OUTAGE[process]))
    await context.stack.start(process)


async def reject_writes(context: Context, _process: str) -> None:
    """Redis answers but rejects writes: its memory is full, or it is a replica of a server that is gone."""
    async with Redis.from_url(context.stack.env["REDIS_URL"]) as redis:
        is_full = context.rng.random() < 0.5
        await (redis.config_set("maxmemory", 1) if is_full else redis.replicaof("127.0.0.1", free_port()))
        await asyncio.sleep(context.rng.uniform(*_REJECTION))
        await (redis.config_set("maxmemory", 0) if is_full else redis.replicaof("NO", "ONE"))


async def slow_responses(context: Context, _process: str) -> None:
    """Half of Stripe's responses take a minute."""
    env = context.stack.env
    auth = (env["STRIPE_KEY"], "")
    async with httpx.AsyncClient(base_url=env["STRIPE_API_BASE"], auth=auth, trust_env=False) as stripe:
        fault = {"kind": "delay", "seconds": _SLOW_RESPONSE_SECONDS, "share": 0.5}
        (await stripe.post("/_faults", json=fault)).raise_for_status()
        await asyncio.sleep(context.rng.uniform(*_SLOWNESS))
        (await stripe.delete("/_faults")).raise_for_status()


async def backlog(context: Context, process: str) -> None:
    """Stop NATS while more users send requests as fast as they can: thousands of events in the outboxes."""
    tickets = context.world.recent_tickets
    users = [User(f"backlog-{new_id()}", context.world, context.rng) for _ in range(_BACKLOG_USERS)]
    await asyncio.gather(*(user.sign_up(asyncio.Event()) for user in users))
    await context.stack.stop(process)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_BACKLOG_SECONDS):
            await asyncio.gather(*(user.list_and_order(tickets) for user in users))
    await asyncio.gather(*(user.close() for user in users))
    await context.stack.start(process)


_ALL = (kill, restart, freeze, freeze_and_kill, wipe, outage, reject_writes, slow_responses, backlog)
KINDS = {kind.__name__.replace("_", "-"): kind for kind in _ALL}
MUST_NOT_DELAY_EXPIRY = {"reject-writes", "slow-responses"}
"""The ledger in MongoDB suffices to expire orders, and Stripe is not involved."""
