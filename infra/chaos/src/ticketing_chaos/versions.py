"""The versions of the services that run side by side, and the rolling update from one to the next."""

import asyncio
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import ticketing_chaos
from ticketing_chaos.guards import GUARDS
from ticketing_local.plan import Plan, plan_stack
from ticketing_local.process import ProcessSpec
from ticketing_local.replicas import replicate, service_of
from ticketing_local.settings import Settings
from ticketing_local.stack import Stack

CLOCK_SHIFT = 0.3  # seconds by which the clocks of the second replicas are ahead
# By module: what it does not consume in the version before.
OPTIONAL_SUBJECTS = {"tickets.main": "order.cancelled", "orders.main": "ticket.updated"}
OPTIONAL_SUBJECTS |= dict.fromkeys(("payments.main", "expiration.main"), "order.completed")
_PACKAGES = ("common", "auth", "tickets", "orders", "payments", "expiration", "client")


@dataclass(frozen=True)
class Version:
    """A version of all services."""

    name: str
    consumes_all: bool = True  # False: each consumer subscribes to one subject less
    checkout: Path | None = None  # None: this one

    def run(self, spec: ProcessSpec, patches: list[str]) -> ProcessSpec:
        """The process with this version of its module, patched."""
        interpreter, module, environment = sys.executable, spec.command[-1], spec.environment
        if not self.consumes_all and module in OPTIONAL_SUBJECTS:
            patches = [*patches, f"without={OPTIONAL_SUBJECTS[module]}"]
        if self.checkout:
            # This package comes first, because it starts the services of the other checkout.
            folders = [Path(ticketing_chaos.__file__).parents[1]]
            folders += [self.checkout.absolute() / package / "src" for package in _PACKAGES]
            environment = environment | {"PYTHONPATH": ":".join(map(str, folders))}
            if (own := self.checkout / ".venv/bin/python").exists():
                interpreter = str(own)
        elif not patches:
            return spec
        command = [interpreter, "-P", "-m", "ticketing_chaos.patched", module, *patches]
        return replace(spec, command=command, environment=environment)


Release = tuple[Version, ...]  # the version of each service's first replica, of its second, and so on


def plan_releases(old: Path | None) -> list[Release]:
    """The releases from start to end: an update, a rollback, and the update again.

    Without an old checkout the two versions run side by side until the last release. Some replica always
    consumes all published subjects, as upgrades require.
    """
    new = Version("new")
    if old:
        before = Version("old", checkout=old)
        return [(before, before), (new, new), (before, before), (new, new)]
    less = Version("less", consumes_all=False)
    return [(less, new), (new, less), (less, new), (new, new)]


@dataclass
class Deployment:
    """All replicas of the services, and the version that each of them runs."""

    guard: str | None  # is disabled in every version
    release: Release
    _specs: dict[str, ProcessSpec] = field(default_factory=dict)  # the replicas, as this version runs them

    def plan(self, settings: Settings, secrets: dict[str, str]) -> Plan:
        planned = replicate(plan_stack(settings, secrets), len(self.release))
        self._specs = {spec.name: spec for spec in planned.processes if spec.name in planned.ports}
        replicas = {name: self._configure(spec, self.release) for name, spec in self._specs.items()}
        return replace(planned, processes=[replicas.get(spec.name, spec) for spec in planned.processes])

    async def roll_out(self, stack: Stack, release: Release) -> None:
        """Replace the changed replicas: of all services at the same time, of each service one by one."""
        services: dict[str, list[ProcessSpec]] = defaultdict(list)
        # First the replicas that will consume more subjects.
        for spec in sorted(self._specs.values(), key=lambda spec: not release[_index(spec)].consumes_all):
            configured = self._configure(spec, release)
            if configured != self._configure(spec, self.release):
                services[service_of(spec.name)].append(configured)

        async def replace_one_by_one(specs: list[ProcessSpec]) -> None:
            for spec in specs:
                await stack.replace(spec)

        async with asyncio.TaskGroup() as group:
            for specs in services.values():
                group.create_task(replace_one_by_one(specs))
        self.release = release

    def _configure(self, spec: ProcessSpec, release: Release) -> ProcessSpec:
        patches = [f"clock={CLOCK_SHIFT}"] if _index(spec) else []
        if self.guard and service_of(spec.name) in GUARDS[self.guard].services:
            patches.append(f"guard={self.guard}")
        return release[_index(spec)].run(spec, patches)


def _index(spec: ProcessSpec) -> int:
    return int(spec.name.partition("-")[2] or 1) - 1  # 0 for the first replica
