"""Measures how precisely the worker publishes expiries; not part of the test run. It takes six minutes:

    pytest -s expiration/tests/measure_precision.py

A killed worker is restarted immediately, so its delays include the start of a process.
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


def report(name, delays):
    """Print the distribution of the delays, in seconds."""
    cuts = {"p50": 0.5, "p99": 0.99, "max": 1}
    figures = ", ".join(f"{k} {delays[round(q * (len(delays) - 1))] * 1e3:.0f} ms" for k, q in cuts.items())
    print(f"\n{name}: {len(delays)} orders, early {sum(delay < 0 for delay in delays)}, {figures}")


@KILLED
async def test_thousand_orders_within_a_minute(system, orders, request, workers, killed):
    with ExitStack() as running:
        processes = [running.enter_context(system.worker()) for _ in range(workers)]
        async with system.service():
            begin = now() + timedelta(seconds=10)
            events = [
                orders.created().model_copy(update={"expires_at": begin + timedelta(seconds=n * 0.06)})
                for n in range(1000)
            ]
            await system.publish_orders(*events)
            await asyncio.sleep((begin - now()).total_seconds() + 30)
            if killed:
                processes[0].kill()
                running.enter_context(system.worker())
            delays = await system.wait_for_expiries(*events, seconds=60)
    report(request.node.name, delays)


@KILLED
async def test_five_thousand_orders_at_the_same_second(system, orders, request, workers, killed):
    with ExitStack() as running:
        processes = [running.enter_context(system.worker()) for _ in range(workers)]
        async with system.service():
            moment = now() + timedelta(seconds=40)
            events = [orders.created().model_copy(update={"expires_at": moment}) for _ in range(5000)]
            await system.publish_orders(*events)
            assert now() < moment, "this machine is too slow to publish the orders in time"

            async def halfway():
                return await system.count_published() >= len(events) / 2

            await wait_until(halfway, 60)
            if killed:
                processes[0].kill()
                running.enter_context(system.worker())
            delays = await system.wait_for_expiries(*events, seconds=60)
    report(request.node.name, delays)
