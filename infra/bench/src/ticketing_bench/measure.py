"""Measuring a route beside its floors: the same load, by turns, in several short rounds."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from ticketing_bench import processes
from ticketing_bench.load import Load
from ticketing_bench.market import Market
from ticketing_bench.routes import Requests, Route, Setting

_WARM_UP = 0.5
"""Seconds; fills caches and pools, and does not count."""


@dataclass(frozen=True)
class Figures:
    """What one side does; the medians of its rounds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """Processor time of who answers, a request."""
    store_cpu_ms: float
    """Processor time of mongod, a request; what is done after the answer is in it while the load lasts."""
    client_cpu: float
    """The share of a core that the load generator took, in the round where it took most."""


@dataclass(frozen=True)
class Side:
    """Who is asked, and with what."""

    parts: tuple[str, ...]
    requests: Requests


def sides_of(route: Route) -> list[Side]:
    """The route, then its floors."""
    floors = [Side(("floor",), requests) for requests in route.floors.values()]
    return [Side((route.service,), route.requests), *floors]


async def by_turns(
    market: Market, setting: Setting, route: Route, sides: list[Side], rounds: int
) -> list[Figures]:
    """The figures of each side. By turns, so that a disturbance of the machine meets them all."""
    found: list[list[Figures]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        for side, figures in zip(sides, found, strict=True):
            seconds = setting.seconds if turn else min(_WARM_UP, setting.seconds)
            outcome = await _drive(market, route, side, await side.requests(market, setting), seconds)
            if turn:
                figures.append(outcome)
            await market.quiet()
    return [_middle(each) for each in found]


async def _drive(market: Market, route: Route, side: Side, requests: list[bytes], seconds: float) -> Figures:
    running = processes.running_parts()
    ports = tuple(market.ports[name] for name in side.parts)
    answering = [running[name] for name in side.parts]
    load = Load(ports, requests, route.status, route.connections, seconds, route.once)
    before = _cpu(answering), _cpu([running["mongod"]])
    outcome = await market.generator.drive(load)
    after = _cpu(answering), _cpu([running["mongod"]])
    count = len(outcome.nanoseconds)
    return Figures(
        per_second=outcome.per_second,
        p50_ms=percentile(outcome.nanoseconds, 50) / 1e6,
        p99_ms=percentile(outcome.nanoseconds, 99) / 1e6,
        cpu_ms=(after[0] - before[0]) / count * 1e3,
        store_cpu_ms=(after[1] - before[1]) / count * 1e3,
        client_cpu=outcome.client_cpu,
    )


def _cpu(pids: Iterable[int]) -> float:
    return sum(map(processes.cpu_seconds, pids))


def _middle(rounds: list[Figures]) -> Figures:
    return Figures(
        per_second=median(r.per_second for r in rounds),
        p50_ms=median(r.p50_ms for r in rounds),
        p99_ms=median(r.p99_ms for r in rounds),
        cpu_ms=median(r.cpu_ms for r in rounds),
        store_cpu_ms=median(r.store_cpu_ms for r in rounds),
        client_cpu=max(r.client_cpu for r in rounds),
    )


def percentile(values: Iterable[float], percent: int) -> float:
    """The least of the values that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
