"""The versions of the market that run side by side, and the rolling update from the one to the other."""

import asyncio
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import ticketing_chaos
from ticketing_chaos.guards import GUARDS
from ticketing_local.plan import Plan, plan_parts
from ticketing_local.process import Part
from ticketing_local.replicas import replicate, service_of
from ticketing_local.settings import Settings
from ticketing_local.stack import Stack

CLOCK_SHIFT = 0.3
"""Seconds by which the clocks of all second replicas are ahead."""
_FOLLOWERS = ("tickets", "orders", "payments", "expiration")
_PACKAGES = ("common", "auth", "tickets", "orders", "payments", "expiration", "client")


@dataclass(frozen=True)
class Version:
    """A version of all services."""

    name: str
    subjects: str | None = None
    """`less` or `more`: this checkout, with one subject less or more for each service that follows events."""
    checkout: Path | None = None
    """Another checkout; None: this one."""

    def changes(self, part: Part) -> list[str]:
        follows = self.subjects and part.command[-1].endswith(".main") and service_of(part.name) in _FOLLOWERS
        return [f"subjects={self.subjects}"] if follows else []

    def interpreter(self) -> str:
        """Its own environment's, if it has one."""
        own = self.checkout / ".venv/bin/python" if self.checkout else None
        return str(own) if own and own.exists() else sys.executable

    def environment(self) -> dict[str, str]:
        if self.checkout is None:
            return {}
        # Our own package first: it starts the other version's services.
        folders = [Path(ticketing_chaos.__file__).parents[1]]
        folders += [self.checkout.absolute() / package / "src" for package in _PACKAGES]
        return {"PYTHONPATH": ":".join(map(str, folders))}


Stage = tuple[Version, ...]
"""The version of each service's first replica, of its second, and so on; there are as many replicas."""


def stages(old: Path | None) -> list[Stage]:
    """From the beginning of a hunt to its end; between them are rolling updates: forth, back and forth again.

    Without another checkout, one replica follows a subject less than this version and the other one more. At
    least one replica always follows what is published, as the instructions for upgrading ask for.
    """
    if old:
        before, after = Version("old", checkout=old), Version("new")
        return [(before, before), (after, after), (before, before), (after, after)]
    less, more = Version("less", subjects="less"), Version("more", subjects="more")
    return [(less, more), (more, less), (less, more), (more, more)]


@dataclass
class Fleet:
    """All replicas, and which version each of them runs."""

    guard: str | None
    """The guard that is switched off in every version."""
    stage: Stage
    _planned: dict[str, Part] = field(default_factory=dict)
    """The replicas, as this version would run them."""

    def plan(self, settings: Settings, secrets: dict[str, str]) -> Plan:
        planned = replicate(plan_parts(settings, secrets), len(self.stage))
        self._planned = {part.name: part for part in planned.parts if part.name in planned.ports}
        parts = [
            self._describe(part, self.stage) if part.name in self._planned else part for part in planned.parts
        ]
        return replace(planned, parts=parts)

    async def roll_out(self, stack: Stack, stage: Stage) -> None:
        """Replace the replicas that change: of all services at the same time, of each one after another."""
        services: dict[str, list[Part]] = defaultdict(list)
        # First those that are to follow more.
        for part in sorted(self._planned.values(), key=lambda part: stage[_index(part)].subjects == "less"):
            described = self._describe(part, stage)
            if described != self._describe(part, self.stage):
                services[service_of(part.name)].append(described)
        async with asyncio.TaskGroup() as group:
            for parts in services.values():
                group.create_task(_replace_in_turn(stack, parts))
        self.stage = stage

    def _describe(self, part: Part, stage: Stage) -> Part:
        version = stage[_index(part)]
        changes = version.changes(part)
        if _index(part):
            changes.append(f"clock={CLOCK_SHIFT}")
        if self.guard and service_of(part.name) in GUARDS[self.guard].services:
            changes.append(f"guard={self.guard}")
        if not changes and not version.checkout:
            return part
        module = part.command[-1]
        command = [version.interpreter(), "-P", "-m", "ticketing_chaos.altered", module, *changes]
        return replace(part, command=command, environment=part.environment | version.environment())


async def _replace_in_turn(stack: Stack, parts: list[Part]) -> None:
    for part in parts:
        await stack.replace(part)


def _index(part: Part) -> int:
    """0 for the first replica."""
    return int(part.name.partition("-")[2] or 1) - 1
