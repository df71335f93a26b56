"""The whole run: a market of its own, measured step by step."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ticketing_bench import documents, growth, latency, starts, workers
from ticketing_bench.market import Market, running_market
from ticketing_bench.measure import Figures, Side, by_turns, sides_of
from ticketing_bench.results import Measured, Results
from ticketing_bench.routes import (
    EMAIL,
    PASSWORD,
    ROUTES,
    SITE,
    THROUGH_THE_INGRESS,
    Route,
    Setting,
)

_BUYERS = 8

Say = Callable[[str], None]


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    seconds: float
    """How long a round of load is."""
    sizes: list[int]
    """The numbers of tickets, smallest first."""
    two_workers: bool = False
    rounds: int = 3
    orders: int = 200
    """Whose locks are timed."""
    expiries: int = 100
    starts: int = 3
    """Of each service."""


async def run(extent: Extent, folder: Path, say: Say) -> Results:
    """`say` is told of every step, and of what it found."""
    results = Results()
    say("Starting a market")
    async with running_market(folder, doubled=extent.two_workers) as market:
        say(f"Starting each service {extent.starts} times")
        results.starts = await starts.time_starts(market, extent.starts)
        setting = Setting(await documents.learn(market), [], extent.seconds)
        await market.post("auth", "/api/users/signup", {"email": EMAIL, "password": PASSWORD})
        smallest, *larger = extent.sizes
        setting = await _grow(market, setting, smallest, results, say)
        await _measure_routes(market, setting, extent, results, say)
        results.purchases = await latency.purchases(market, setting.templates, _BUYERS, 2 * extent.seconds)
        say(f"Purchases, {_BUYERS} buyers: {results.purchases.per_second:.0f}/s")
        results.memory = starts.memory()
        await market.quiet()
        results.event_latency = await latency.event_latency(market, setting.templates, extent.orders)
        say(f"From order to lock: p50 {results.event_latency.p50_ms:.1f} ms")
        results.listing_latency = await latency.listing_latency(market, extent.orders)
        say(f"From listed to ordered: p50 {results.listing_latency.p50_ms:.1f} ms")
        if extent.two_workers:
            say("One worker of tickets and orders, and two")
            results.workers = await workers.one_and_two(market, setting, extent.rounds)
        for size in larger:
            setting = await _grow(market, setting, size, results, say)
        results.expiry = await latency.expiry(market, setting.templates, extent.expiries)
        say(f"Expiry: at most {results.expiry.max_ms:.0f} ms late")
    return results


async def _grow(market: Market, setting: Setting, size: int, results: Results, say: Say) -> Setting:
    def count(written: int) -> None:
        if written % 100_000 == 0:
            say(f"  {written:,} tickets written")

    say(f"Growing to {size:,} tickets")
    setting = await growth.grow(market, setting, size, count)
    results.growth[size] = await growth.costs(market, setting)
    for name, figures in results.growth[size].items():
        say(f"  {name}: {_brief(figures)}")
    return setting


async def _measure_routes(
    market: Market, setting: Setting, extent: Extent, results: Results, say: Say
) -> None:
    for route in ROUTES:
        say(f"{route.name}: {extent.rounds} rounds, by turns with its floor")
        ours, *floors = await by_turns(market, setting, route, sides_of(route), extent.rounds)
        measured = results.routes[route.name] = Measured(ours, dict(zip(route.floors, floors, strict=True)))
        say(f"  {_brief(ours)}")
        for floor, figures in measured.floors.items():
            say(f"  floor, {floor}: {_brief(figures)}; the route's share {measured.ratio(floor):.2f}")
    results.ingress = await _alone(market, setting, THROUGH_THE_INGRESS)
    say(f"Through the ingress: {_brief(results.ingress)}")
    # For what it takes of memory; how fast the site is made is not a figure of the services.
    await _alone(market, setting, SITE)


async def _alone(market: Market, setting: Setting, route: Route) -> Figures:
    (found,) = await by_turns(market, setting, route, [Side((route.service,), route.requests)], 1)
    return found


def _brief(figures: Figures) -> str:
    return f"{figures.per_second:,.0f}/s, p50 {figures.p50_ms:.2f} ms, p99 {figures.p99_ms:.2f} ms"
