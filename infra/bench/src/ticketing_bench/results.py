"""All that a run finds, the targets, and which of them it meets."""

import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from ticketing_bench.growth import cost
from ticketing_bench.latency import Purchases, Times
from ticketing_bench.measure import Figures
from ticketing_bench.routes import ONE, ORDER, PAGE
from ticketing_bench.starts import Memory, Start

RATIO_AT_LEAST = {PAGE.name: 0.6, ONE.name: 0.6, ORDER.name: 0.6}
"""Of the throughput of a route's first floor."""
EVENT_P50_MS, EVENT_P99_MS = 20.0, 100.0
LISTED_P50_MS = 12.0
EARLY_MS, LATE_MS = 0.0, 1_000.0
"""An order expires never before, and at most so long after its time."""
MEMORY_MB = 120.0
START_SECONDS = 1.5
GROWTH_FACTOR = 1.5
"""What a request may cost with the most documents, as a multiple of its cost with the fewest: flat."""


@dataclass(frozen=True)
class Measured:
    """A route and its floors, by what they do."""

    market: Figures
    floors: dict[str, Figures]

    def ratio(self, floor: str) -> float:
        """The share of the floor's throughput."""
        return self.market.per_second / self.floors[floor].per_second

    def cpu_ratio(self, floor: str) -> float:
        """The same by what a request takes of the answering process: what others do hardly disturbs it."""
        return self.floors[floor].cpu_ms / self.market.cpu_ms


@dataclass
class Results:
    """A field is empty, or None, until it was measured."""

    begun: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    machine: dict[str, Any] = field(
        default_factory=lambda: {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "load_before": os.getloadavg()[0],
        }
    )
    starts: dict[str, Start] = field(default_factory=dict)
    routes: dict[str, Measured] = field(default_factory=dict)
    ingress: Figures | None = None
    purchases: Purchases | None = None
    event_latency: Times | None = None
    listing_latency: Times | None = None
    memory: dict[str, Memory] = field(default_factory=dict)
    expiry: Times | None = None
    growth: dict[int, dict[str, Figures]] = field(default_factory=dict)
    workers: dict[str, list[Figures]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        for name, route in self.routes.items():
            found["routes"][name]["ratios"] = {floor: route.ratio(floor) for floor in route.floors}
            found["routes"][name]["cpu_ratios"] = {floor: route.cpu_ratio(floor) for floor in route.floors}
        found["verdicts"] = [asdict(verdict) | {"met": verdict.met} for verdict in verdicts(self)]
        return found


@dataclass(frozen=True)
class Verdict:
    what: str
    found: float
    bound: float
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.found >= self.bound if self.at_least else self.found <= self.bound


def verdicts(results: Results) -> list[Verdict]:
    """Every target beside what was found."""
    found = []
    for name, bound in RATIO_AT_LEAST.items():
        if route := results.routes.get(name):
            ratio = route.ratio(next(iter(route.floors)))
            found.append(Verdict(f"{name}: share of the floor's throughput", ratio, bound, at_least=True))
    if latency := results.event_latency:
        found.append(Verdict("order to lock, p50", latency.p50_ms, EVENT_P50_MS, unit="ms"))
        found.append(Verdict("order to lock, p99", latency.p99_ms, EVENT_P99_MS, unit="ms"))
    if listing := results.listing_latency:
        found.append(Verdict("listed to ordered, p50", listing.p50_ms, LISTED_P50_MS, unit="ms"))
    if expiry := results.expiry:
        found.append(Verdict("expiry, earliest", expiry.min_ms, EARLY_MS, at_least=True, unit="ms"))
        found.append(Verdict("expiry, latest", expiry.max_ms, LATE_MS, unit="ms"))
    for name in results.starts:
        found.append(Verdict(f"{name}: memory under load", results.memory[name].peak, MEMORY_MB, unit="MB"))
        found.append(Verdict(f"{name}: start", results.starts[name].seconds, START_SECONDS, unit="s"))
    for name, (fewest, most) in extremes(results).items():
        factor = cost(most) / cost(fewest)
        found.append(Verdict(f"{name}: cost with the most documents", factor, GROWTH_FACTOR, unit="times"))
    return found


def extremes(results: Results) -> dict[str, tuple[Figures, Figures]]:
    """The figures with the fewest and the most documents, where there are two sizes."""
    if len(results.growth) < 2:
        return {}
    fewest, most = results.growth[min(results.growth)], results.growth[max(results.growth)]
    return {name: (fewest[name], most[name]) for name in fewest}
