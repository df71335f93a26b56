"""What a second worker process of a service adds, with the load dealt out to both."""

from ticketing_bench.market import DOUBLED, Market
from ticketing_bench.measure import Figures, Side, by_turns
from ticketing_bench.routes import GROWING, Setting


async def one_and_two(market: Market, setting: Setting, rounds: int) -> dict[str, list[Figures]]:
    """For each route its figures with one worker, then those with two."""
    for name in DOUBLED:
        await market.stack.start(f"{name}-2")
    found = {}
    for route in GROWING:
        alone = Side((route.service,), route.requests)
        both = Side((route.service, f"{route.service}-2"), route.requests)
        found[route.name] = await by_turns(market, setting, route, [alone, both], rounds)
    for name in DOUBLED:
        await market.stack.stop(f"{name}-2")
    return found
