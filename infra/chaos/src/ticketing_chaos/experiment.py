"""A chaos experiment: users and faults on a running stack, and the snapshot that they leave."""

import asyncio
import itertools
import random
import time
from pathlib import Path

from ticketing_chaos.faults import Context
from ticketing_chaos.guards import GUARDS
from ticketing_chaos.history import History
from ticketing_chaos.injector import FaultInjector, plan_injections
from ticketing_chaos.snapshot import Snapshot, take_snapshot
from ticketing_chaos.users import User, World
from ticketing_chaos.versions import Deployment, plan_releases
from ticketing_local.testing import running_stack

_USERS = 24
_WINDOW = 5  # seconds to pay an order
_LONG = 120.0  # seconds; a shorter experiment has one rolling update only


async def run_experiment(
    folder: Path, seconds: float, seed: int, guard: str | None = None, old: Path | None = None
) -> Snapshot:
    """`guard`: a guard to disable. `old`: the checkout of the version to update from.

    Raises an exception group with NotRecovered.
    """
    disabled = GUARDS[guard] if guard else None
    first, *updates = plan_releases(old)
    if seconds < _LONG:
        updates = updates[-1:]
    rng, history = random.Random(f"{seed}:faults"), History()
    injections, max_wait = plan_injections(rng), 120
    if disabled:
        first, updates, max_wait = first[-disabled.replicas :], [], 15
        injections = itertools.cycle([each] for each in disabled.faults)
    deployment = Deployment(guard, first)
    async with running_stack(folder, expiration_window_seconds=_WINDOW, plan=deployment.plan) as stack:
        world = World(stack.base_url, stack.env["STRIPE_API_BASE"], history)
        canary, *users = (
            User(f"{name}-{seed}", world, random.Random(f"{seed}:{name}"))
            for name in ["canary", *(f"user{n}" for n in range(_USERS))]
        )
        injector = FaultInjector(Context(stack, rng, world), deployment, canary, has_calm=not disabled)
        stop_faults, stop_users = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(user.run(stop_users))
            injecting = group.create_task(injector.run(injections, stop_faults))
            start = time.monotonic()
            for n, release in enumerate(updates, start=1):
                await asyncio.sleep(start + seconds * n / (len(updates) + 1) - time.monotonic())
                await injector.roll_out(release)
            await asyncio.sleep(start + seconds - time.monotonic())
            stop_faults.set()
            await injecting
            stop_users.set()
            # Without users no new order makes the worker look at the jobs that Redis has lost.
            await injector.inject([("redis", "wipe")])
        snapshot = await take_snapshot(stack, history, max_wait)
    history.write(folder / "history.jsonl")
    return snapshot
