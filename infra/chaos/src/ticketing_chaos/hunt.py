"""One hunt: a market, a crowd and a saboteur; then quiet, the evidence, and the checker's verdict."""

import asyncio
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ticketing_chaos.checks import Violation, violations
from ticketing_chaos.crowd import Board, Person, Place
from ticketing_chaos.evidence import DATABASES, Evidence, gather, waiting
from ticketing_chaos.guards import GUARDS, Guard
from ticketing_chaos.history import History
from ticketing_chaos.saboteur import Attack, Saboteur, in_turn_and_in_pairs
from ticketing_common.mongo import connect
from ticketing_local.parts import Plan, plan_parts
from ticketing_local.settings import Settings
from ticketing_local.stack import Stack
from ticketing_local.testing import running_stack

WINDOW_SECONDS = 5
"""To pay an order in."""
PEOPLE = 24
_QUIET_WITHIN = 120.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Verdict:
    evidence: Evidence
    found: list[Violation]
    quiet_after: float
    """Seconds from the end of the crowd until nothing moved any more."""


async def hunt(folder: Path, seconds: float, seed: int, say: Say, guard: str | None = None) -> Verdict:
    """`guard`: the one that is switched off. Raises a group with NotBack."""
    off = GUARDS[guard] if guard else None
    history = History()
    async with running_stack(
        folder, expiration_window_seconds=WINDOW_SECONDS, plan=_plan(guard, off)
    ) as stack:
        place, board = Place(stack.base_url, stack.env["STRIPE_API_BASE"]), Board()

        def person(name: str) -> Person:
            return Person(f"{name}-{seed}", place, board, history, random.Random(f"{seed}:{name}"))

        people = [person(f"p{n}") for n in range(PEOPLE)]
        chance = random.Random(f"{seed}:saboteur")
        saboteur = Saboteur(stack, history, chance, person("canary"), say, hurries=bool(guard))
        await _live_through(seconds, people, saboteur, _attacks(off, chance), say)
        ended = time.monotonic()
        await _until_quiet(stack, 15 if guard else _QUIET_WITHIN)
        quiet_after = time.monotonic() - ended
        say(f"quiet after {quiet_after:.1f} s; gathering the evidence")
        evidence = await gather(stack, history)
    history.write(folder / "history.jsonl")
    return Verdict(evidence, violations(evidence), quiet_after)


def _plan(name: str | None, guard: Guard | None) -> Callable[[Settings, dict[str, str]], Plan]:
    def plan(settings: Settings, secrets: dict[str, str]) -> Plan:
        planned = plan_parts(settings, secrets)
        if not guard or not name:
            return planned
        start = [sys.executable, "-P", "-m", "ticketing_chaos.unguarded", name]
        parts = [
            replace(part, command=[*start, part.command[-1]]) if part.name in guard.services else part
            for part in planned.parts
        ]
        return replace(planned, parts=parts)

    return plan


def _attacks(guard: Guard | None, chance: random.Random) -> Iterator[Attack]:
    return itertools.cycle([each] for each in guard.attacks) if guard else in_turn_and_in_pairs(chance)


async def _live_through(
    seconds: float, people: list[Person], saboteur: Saboteur, attacks: Iterator[Attack], say: Say
) -> None:
    """When the saboteur has ended the crowd goes home, and there is an encore."""
    stop_saboteur, stop_crowd = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(person.live(stop_crowd))
        progress = group.create_task(_progress(saboteur.history, say))
        working = group.create_task(saboteur.work(attacks, stop_saboteur))
        await asyncio.sleep(seconds)
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
