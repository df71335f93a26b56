"""Measures a route and its floors with the same load in turns, in several short rounds."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from statistics import median

from ticketing_bench.dataset import Dataset
from ticketing_bench.load import run_load
from ticketing_bench.routes import Route

_WARM_UP = 0.5  # seconds of the first round, which fills caches and pools and does not count
_MAX_REQUESTS_PER_SECOND = 2_500  # more than any route with `once` can serve


@dataclass(frozen=True)
class Figures:
    """The medians of all rounds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """Processor time of the answering processes per request."""
    mongod_cpu_ms: float
    """Processor time of mongod per request, including what consumers of events cause meanwhile."""
    client_cpu: float
    """The share of a core used by the load generator."""


Endpoint = tuple[list[str], str]
"""Processes that share a load, and the path of its requests."""


def endpoints(route: Route) -> list[Endpoint]:
    """The route, then its floors."""
    return [([route.service], route.path), *((["floor"], path) for path in route.floors.values())]


async def measure_in_turns(
    dataset: Dataset, route: Route, targets: Sequence[Endpoint], seconds: float, rounds: int
) -> list[Figures]:
    """The figures of each endpoint. In turns, so that a disturbance affects all of them."""
    found: list[list[Figures]] = [[] for _ in targets]
    for n in range(rounds + 1):
        for endpoint, figures in zip(targets, found, strict=True):
            length = seconds if n else min(_WARM_UP, seconds)
            outcome = await _measure(dataset, route, endpoint, length)
            if n:
                figures.append(outcome)
            await dataset.stack.wait_until_idle()
    names = [field.name for field in fields(Figures)]
    return [
        Figures(**{name: median(getattr(f, name) for f in figures) for name in names}) for figures in found
    ]


async def _measure(dataset: Dataset, route: Route, endpoint: Endpoint, seconds: float) -> Figures:
    stack, (processes, path) = dataset.stack, endpoint
    requests = await route.requests(path, dataset, int(_MAX_REQUESTS_PER_SECOND * seconds))
    ports = [stack.ports[name] for name in processes]
    load = partial(run_load, ports, requests, route.status, route.connections, seconds, route.once)
    cpu, mongod_cpu = stack.cpu_seconds(*processes), stack.cpu_seconds("mongod")
    result = await asyncio.get_running_loop().run_in_executor(stack.generator, load)
    cpu, mongod_cpu = stack.cpu_seconds(*processes) - cpu, stack.cpu_seconds("mongod") - mongod_cpu
    count = len(result.durations)
    return Figures(
        per_second=count / result.seconds,
        p50_ms=percentile(result.durations, 50) * 1e3,
        p99_ms=percentile(result.durations, 99) * 1e3,
        cpu_ms=cpu / count * 1e3,
        mongod_cpu_ms=mongod_cpu / count * 1e3,
        client_cpu=result.client_cpu,
    )


def percentile(values: Iterable[float], percent: int) -> float:
    """The smallest of the values that at least this percentage of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
