"""How precise the worker is; not a test, and not in the ordinary run. It takes six minutes:

    pytest -s expiration/tests/measure_precision.py

A worker that is killed is started again at once, so its lateness includes the start of a process.
"""

import asyncio
from contextlib import ExitStack
from datetime import timedelta

import pytest

from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now

KILLED = pytest.mark.parametrize(
    ("workers", "killed"),
    [(1, False), (1, True), (2, True)],
    ids=["1 worker", "1 worker, killed -9 and restarted", "2 workers, one killed -9 and restarted"],
)


def report(name, lateness):
    """Print the distribution of the seconds by which events were late."""
    cuts = {"p50": 0.5, "p99": 0.99, "max": 1}
    figures = ", ".join(
        f"{k} {lateness[round(q * (len(lateness) - 1))] * 1e3:.0f} ms" for k, q in cuts.items()
    )
    print(f"\n{name}: {len(lateness)} orders, early {sum(late < 0 for late in lateness)}, {figures}")


@KILLED
async def test_a_thousand_orders_within_a_minute(market, orders, request, workers, killed):
    with ExitStack() as running:
        processes = [running.enter_context(market.worker()) for _ in range(workers)]
        async with market.service():
            begin = now() + timedelta(seconds=10)
            placed = [
                orders.created().model_copy(update={"expires_at": begin + timedelta(seconds=n * 0.06)})
                for n in range(1000)
            ]
            await market.place(*placed)
            await asyncio.sleep((begin - now()).total_seconds() + 30)
            if killed:
                processes[0].kill()
                running.enter_context(market.worker())
            lateness = await market.lateness(*placed, seconds=60)
    report(request.node.name, lateness)


@KILLED
async def test_five_thousand_orders_of_one_second(market, orders, request, workers, killed):
    with ExitStack() as running:
        processes = [running.enter_context(market.worker()) for _ in range(workers)]
        async with market.service():
            moment = now() + timedelta(seconds=40)
            placed = [orders.created().model_copy(update={"expires_at": moment}) for _ in range(5000)]
            await market.place(*placed)
            assert now() < moment, "this machine is too slow to place the orders in time"

            async def halfway():
                return await market.count_told() >= len(placed) / 2

            await wait_until(halfway, 60)
            if killed:
                processes[0].kill()
                running.enter_context(market.worker())
            lateness = await market.lateness(*placed, seconds=60)
    report(request.node.name, lateness)
