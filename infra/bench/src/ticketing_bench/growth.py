"""What the routes cost as the number of tickets and orders grows."""

from dataclasses import replace

from ticketing_bench import documents
from ticketing_bench.documents import Progress
from ticketing_bench.market import Market
from ticketing_bench.measure import Figures, by_turns, sides_of
from ticketing_bench.routes import GROWING, Setting

SIZES = [1_000, 100_000, 1_000_000]
_ROUNDS = 2


async def grow(market: Market, setting: Setting, size: int, progress: Progress) -> Setting:
    """Bring the market to so many tickets, and as many orders."""
    more = size - market.store["tickets"]["tickets"].estimated_document_count()
    for_sale = await documents.add(market, setting.templates, max(more, 0), progress)
    # What was written without waiting for the disk must not be paid for by what is measured.
    market.store["admin"].command("fsync")
    return replace(setting, for_sale=setting.for_sale + for_sale)


async def costs(market: Market, setting: Setting) -> dict[str, Figures]:
    """The routes' figures at the present size."""
    found = {}
    for route in GROWING:
        (found[route.name],) = await by_turns(market, setting, route, sides_of(route)[:1], _ROUNDS)
    return found


def cost(figures: Figures) -> float:
    """Milliseconds of processor time that a request takes, the store's included.

    Of all figures the one that depends least on what else a machine does.
    """
    return figures.cpu_ms + figures.store_cpu_ms
