"""What one purchase costs each part of the market, counted: `python -m ticketing_bench.cost [400]`.

A ticket is listed, ordered and paid for, many times, one step after the other; after each step the market is
let come to rest. Every counter is read before and after; what is counted while nothing happens is taken off.
All figures are per purchase.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import mean

import httpx
from rich.console import Console
from rich.table import Table

from ticketing_bench.counters import DATABASES, PASSWORD, Market, counted_market
from ticketing_common.logs import configure_logs
from ticketing_common.tail import Position, read
from ticketing_local.market import list_ticket, order, pay

OUTPUT = Path("cost.json")
_AT_ONCE = 4

Counts = Mapping[str, float]
"""What was counted (`mongod orders.orders insert`, `cpu ms orders`) and how often."""


@dataclass(frozen=True)
class Costs:
    purchases: int
    at_rest: Counts
    """Per second in which nothing happens."""
    steps: dict[str, Counts]
    """Per purchase, by step."""
    documents: dict[str, dict[str, float]]
    """Bytes per document of each collection: its own, and its share of the files of the indexes."""
    events: dict[str, float]
    """Mean bytes of the body of each kind of event."""

    @property
    def whole(self) -> dict[str, float]:
        """All steps of a purchase together; signing in is apart."""
        total: Counter[str] = Counter()
        for name, counts in self.steps.items():
            if name != "sign in":
                total.update(counts)
        return dict(total)


async def measure(folder: Path, purchases: int, rest_seconds: float = 10) -> Costs:
    tickets: list[str] = []
    orders: dict[httpx.AsyncClient, list[str]] = defaultdict(list)

    async def list_(who: httpx.AsyncClient) -> None:
        tickets.append((await list_ticket(who, "Opera in the Park, row 12", 120.50))["id"])

    async def order_(who: httpx.AsyncClient) -> None:
        orders[who].append((await order(who, tickets.pop()))["id"])

    async def pay_(who: httpx.AsyncClient) -> None:
        await pay(who, orders[who].pop(), "tok_visa")

    async def sign_in(who: httpx.AsyncClient) -> None:
        answer = await who.post("/api/users/signin", json={"email": "0@example.com", "password": PASSWORD})
        answer.raise_for_status()

    async with counted_market(folder, _AT_ONCE) as market:
        at_rest = await _counted(market, lambda: asyncio.sleep(rest_seconds))
        steps: dict[str, Counts] = {}
        for name, step in {"list": list_, "order": order_, "pay": pay_, "sign in": sign_in}.items():
            counts = await _counted(market, partial(_all, market, step, purchases))
            steps[name] = less_idle(counts, at_rest, purchases)
        resting = {name: round(count / at_rest["seconds"], 2) for name, count in at_rest.items()}
        return Costs(purchases, resting, steps, _documents(market), await _events(market))


def less_idle(counts: Counts, at_rest: Counts, purchases: int) -> dict[str, float]:
    """Per purchase, without what the same time costs at rest; what is next to nothing is left out."""
    longer = counts["seconds"] / at_rest["seconds"]
    each = {name: (count - at_rest.get(name, 0) * longer) / purchases for name, count in counts.items()}
    return {name: count for name, count in each.items() if abs(count) >= 0.02 and name != "seconds"}


async def _counted(market: Market, work: Callable[[], Awaitable[object]]) -> Counts:
    before, begun = await market.counters(), time.monotonic()
    await work()
    await market.rest()
    seconds = time.monotonic() - begun
    after = await market.counters()
    return {name: after[name] - before[name] for name in after} | {"seconds": seconds}


async def _all(market: Market, step: Callable[[httpx.AsyncClient], Awaitable[None]], times: int) -> None:
    """Each person does its share, one after the other."""

    async def share(who: httpx.AsyncClient) -> None:
        for _ in range(times // _AT_ONCE):
            await step(who)

    await asyncio.gather(*map(share, market.people))


def _documents(market: Market) -> dict[str, dict[str, float]]:
    sizes = {}
    for database in DATABASES:
        for name in sorted(market.store[database].list_collection_names()):
            ((found),) = market.store[database][name].aggregate([{"$collStats": {"storageStats": {}}}])
            stats = found["storageStats"]
            if stats["count"] >= _AT_ONCE:
                indexes = {index: size / stats["count"] for index, size in stats["indexSizes"].items()}
                sizes[f"{database}.{name}"] = {"document": stats["avgObjSize"]} | indexes
    return sizes


async def _events(market: Market) -> dict[str, float]:
    """Of what the stream holds."""
    stream = await market.bus.stream()
    sizes: dict[str, list[int]] = {}
    position = Position.of(stream, 0)
    while messages := await read(market.bus, [">"], position, 256):
        position = messages[-1].position
        for message in messages:
            sizes.setdefault(message.subject, []).append(len(message.data))
    return {subject: mean(each) for subject, each in sorted(sizes.items())}


def show(costs: Costs, console: Console) -> None:
    table = Table(
        "per purchase",
        *costs.steps,
        "purchase",
        "at rest, a second",
        title=f"What {costs.purchases} purchases cost",
    )
    columns = [*costs.steps.values(), costs.whole, costs.at_rest]
    for name in sorted(
        {name for counts in columns for name, figure in counts.items() if figure} - {"seconds"}
    ):
        figures = [counts.get(name, 0) for counts in columns]
        table.add_row(name, *(f"{figure:,.2f}" if figure else "" for figure in figures))
    console.print(table)
    sizes = Table("bytes a document", "itself", "indexes, by their files")
    for collection, parts in costs.documents.items():
        indexes = ", ".join(f"{name} {size:.0f}" for name, size in parts.items() if name != "document")
        sizes.add_row(collection, f"{parts['document']:.0f}", indexes)
    console.print(sizes)
    console.print("bytes an event:", ", ".join(f"{name} {size:.0f}" for name, size in costs.events.items()))


def main() -> None:
    purchases = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    configure_logs("error", "console", "cost")
    with tempfile.TemporaryDirectory(prefix="ticketing-cost-") as folder:
        costs = asyncio.run(measure(Path(folder), purchases))
    show(costs, Console(width=None if sys.stdout.isatty() else 150))
    OUTPUT.write_text(json.dumps(asdict(costs) | {"whole": costs.whole}, indent=2) + "\n")
    print(f"All figures: {OUTPUT.absolute()}")


if __name__ == "__main__":
    main()
