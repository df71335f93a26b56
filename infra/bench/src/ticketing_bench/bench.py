"""A whole run: starts a stack and measures it step by step."""

import asyncio
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from ticketing_bench import latency
from ticketing_bench.bench_stack import SECOND_WORKERS, SERVICES, BenchStack, running_bench_stack
from ticketing_bench.dataset import Dataset, create_dataset
from ticketing_bench.measure import endpoints, measure_in_turns
from ticketing_bench.results import Results
from ticketing_bench.routes import EMAIL, GROWING, PASSWORD, ROUTES
from ticketing_local.readiness import http_answers

_GROWTH_ROUNDS = 2


@dataclass(frozen=True)
class Scope:
    """How much is measured."""

    seconds: float
    """The length of a round."""
    sizes: list[int]
    """Numbers of tickets, smallest first."""
    two_workers: bool = False
    rounds: int = 3
    """Rounds of load, and starts of each service."""
    samples: int = 200
    """Of each latency; half as many expiries."""


async def run(scope: Scope, folder: Path) -> Results:
    """Measure everything, and print the progress."""
    results = Results()
    async with running_bench_stack(folder, two_workers=scope.two_workers) as stack:
        await _measure_starts(stack, scope, results)
        dataset = await create_dataset(stack)
        await (await stack.connect("auth")).create("/api/users/signup", email=EMAIL, password=PASSWORD)
        await _measure_growth(dataset, scope.sizes[0], scope, results)
        await _measure_routes(dataset, scope, results)
        if scope.two_workers:
            await _measure_workers(dataset, scope, results)
        print("Latency")
        listing_to_order = await latency.measure_listing_to_order(stack, scope.samples)
        results.add("latency", "listing to order", listing_to_order)
        results.add("latency", "order to lock", await latency.measure_order_to_lock(dataset, scope.samples))
        for size in scope.sizes[1:]:
            await _measure_growth(dataset, size, scope, results)
        print("Expiry")
        results.add("latency", "expiry", await latency.measure_expiry(dataset, scope.samples // 2))
    return results


async def _measure_starts(stack: BenchStack, scope: Scope, results: Results) -> None:
    """From the start of a process to the first 200 from /readyz; the medians."""
    for name in SERVICES:
        print(f"Starting {name}")
        results.add(
            "starts", name, {"seconds": median([await _start(stack, name) for _ in range(scope.rounds)])}
        )


async def _start(stack: BenchStack, name: str) -> float:
    await stack.stack.stop(name)
    is_ready = http_answers(stack.ports[name], "/readyz")
    start = time.perf_counter()
    starting = asyncio.create_task(stack.stack.start(name))
    while not await is_ready():  # noqa: ASYNC110 - another process has no Event to wait for
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - start
    await starting
    return seconds


async def _measure_growth(dataset: Dataset, size: int, scope: Scope, results: Results) -> None:
    print(f"Growing to {size:,} tickets")
    await dataset.grow_to(size)
    for route in GROWING:
        service = endpoints(route)[:1]
        (figures,) = await measure_in_turns(dataset, route, service, scope.seconds, _GROWTH_ROUNDS)
        # Of all figures, other load on the machine disturbs processor time least.
        row = {"cost_ms": figures.cpu_ms + figures.mongod_cpu_ms} | asdict(figures)
        results.add("growth", f"{route.name}, {size:,} tickets", row)
        if size != scope.sizes[0]:
            smallest = results.tables["growth"][f"{route.name}, {scope.sizes[0]:,} tickets"]
            row["growth"] = row["cost_ms"] / smallest["cost_ms"]


async def _measure_routes(dataset: Dataset, scope: Scope, results: Results) -> None:
    for route in ROUTES:
        print(f"{route.name}, in turns with its floors")
        service, *floors = await measure_in_turns(
            dataset, route, endpoints(route), scope.seconds, scope.rounds
        )
        results.add("routes", route.name, asdict(service))
        for name, floor in zip(route.floors, floors, strict=True):
            ratios = {
                "ratio": service.per_second / floor.per_second,
                "cpu_ratio": floor.cpu_ms / service.cpu_ms,
            }
            results.add("routes", f"{route.name} / {name}", asdict(floor) | ratios)


async def _measure_workers(dataset: Dataset, scope: Scope, results: Results) -> None:
    await dataset.stack.stack.supervisor.start(*SECOND_WORKERS)
    for route in GROWING:
        print(f"{route.name}, with one worker and with two")
        workers = [[route.service], [route.service, f"{route.service}-2"]]
        targets = [(processes, route.path) for processes in workers]
        figures = await measure_in_turns(dataset, route, targets, scope.seconds, scope.rounds)
        for count, each in enumerate(figures, start=1):
            results.add("workers", f"{route.name}, {count}", asdict(each))
    await dataset.stack.stack.supervisor.stop(*SECOND_WORKERS)
