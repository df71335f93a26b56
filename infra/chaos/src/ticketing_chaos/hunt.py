"""One hunt: a market, a crowd and a saboteur; then quiet, the evidence, and the checker's verdict."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ticketing_chaos.backlog import Backlog
from ticketing_chaos.checks import violations
from ticketing_chaos.crowd import Board, Person, Place
from ticketing_chaos.deeds import Scene
from ticketing_chaos.evidence import DATABASES, Evidence, gather, waiting
from ticketing_chaos.guards import GUARDS, Guard
from ticketing_chaos.history import History
from ticketing_chaos.saboteur import Attack, Saboteur, in_turn_and_in_pairs
from ticketing_chaos.versions import Fleet, Stage, stages
from ticketing_chaos.violation import Violation
from ticketing_common.mongo import connect
from ticketing_local.stack import Stack
from ticketing_local.testing import running_stack

WINDOW_SECONDS = 5
"""To pay an order in."""
PEOPLE = 24
_QUIET_WITHIN = 120.0
_LONG = 120.0
"""Seconds. A shorter hunt has time for the last rolling update only."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Verdict:
    evidence: Evidence
    found: list[Violation]
    quiet_after: float
    """Seconds from the end of the crowd until nothing moved any more."""


async def hunt(
    folder: Path, seconds: float, seed: int, say: Say, guard: str | None = None, old: Path | None = None
) -> Verdict:
    """`guard`: the one that is switched off. `old`: the checkout that is updated from.

    Raises a group with NotBack.
    """
    off = GUARDS[guard] if guard else None
    history = History()
    first, *later = stages(old)
    fleet = Fleet(guard, first[-off.replicas :] if off else first)
    async with running_stack(folder, expiration_window_seconds=WINDOW_SECONDS, plan=fleet.plan) as stack:
        place, board = Place(stack.base_url, stack.env["STRIPE_API_BASE"]), Board()

        def person(name: str) -> Person:
            return Person(f"{name}-{seed}", place, board, history, random.Random(f"{seed}:{name}"))

        people = [person(f"p{n}") for n in range(PEOPLE)]
        chance = random.Random(f"{seed}:saboteur")
        scene = Scene(stack, chance, Backlog(stack.base_url, history, chance, seed))
        saboteur = Saboteur(scene, fleet, history, person("canary"), say, hurries=bool(guard))
        updates = [] if guard else later if seconds >= _LONG else later[-1:]
        await _live_through(seconds, people, saboteur, _attacks(off, chance), updates, say)
        ended = time.monotonic()
        await _until_quiet(stack, 15 if guard else _QUIET_WITHIN)
        quiet_after = time.monotonic() - ended
        say(f"quiet after {quiet_after:.1f} s; gathering the evidence")
        evidence = await gather(stack, history)
    history.write(folder / "history.jsonl")
    return Verdict(evidence, violations(evidence), quiet_after)


def _attacks(guard: Guard | None, chance: random.Random) -> Iterator[Attack]:
    return itertools.cycle([each] for each in guard.attacks) if guard else in_turn_and_in_pairs(chance)


async def _live_through(
    seconds: float,
    people: list[Person],
    saboteur: Saboteur,
    attacks: Iterator[Attack],
    updates: Sequence[Stage],
    say: Say,
) -> None:
    """The updates are spread over the time. Afterwards the crowd goes home, and there is an encore."""
    stop_saboteur, stop_crowd = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(person.live(stop_crowd))
        progress = group.create_task(_progress(saboteur.history, say))
        working = group.create_task(saboteur.work(attacks, stop_saboteur))
        begun = time.monotonic()
        for n, stage in enumerate(updates, start=1):
            await asyncio.sleep(begun + seconds * n / (len(updates) + 1) - time.monotonic())
            await saboteur.roll_out(stage)
        await asyncio.sleep(begun + seconds - time.monotonic())
        stop_saboteur.set()
        await working
        stop_crowd.set()
        await saboteur.encore()
        progress.cancel()


async def _progress(history: History, say: Say) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(10)
        statuses = Counter(call.status or "none" for call in history.calls)
        told = ", ".join(f"{count} x {status}" for status, count in statuses.most_common())
        say(f"{time.monotonic() - begun:4.0f} s: {len(history.deeds)} deeds; answers {told}")


async def _until_quiet(stack: Stack, patience: float) -> None:
    """Until no order waits for its end, no event for its follower, no payment for Stripe; twice in a row."""
    databases = {name: connect(stack.env[f"MONGO_URI_{name.upper()}"]) for name in DATABASES}
    open_work = {
        "tickets": ("tickets", {"outbox.0": {"$exists": True}}),
        "orders": ("orders", {"$or": [{"outbox.0": {"$exists": True}}, {"status": "created"}]}),
        "payments": ("payments", {"$or": [{"outbox.0": {"$exists": True}}, {"settle_at": {"$ne": None}}]}),
    }
    deadline = time.monotonic() + patience
    quiet = 0
    while quiet < 2 and time.monotonic() < deadline:
        busy = [
            name
            for name, (collection, criteria) in open_work.items()
            if await databases[name][collection].find_one(criteria)
        ]
        quiet = 0 if busy or any((await waiting(stack)).values()) else quiet + 1
        await asyncio.sleep(0.5)
    for database in databases.values():
        database.client.close()
