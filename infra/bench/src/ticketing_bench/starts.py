"""How long each service takes from the start of its process until it is ready, and what memory it takes."""

import asyncio
import time
from dataclasses import dataclass
from statistics import median

from ticketing_bench import processes
from ticketing_bench.market import SERVICES, Market
from ticketing_local.probes import http_answers

_LOOK = 0.005


@dataclass(frozen=True)
class Start:
    """From the start of a process until it is ready."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Memory:
    """In megabytes of 2**20 bytes."""

    peak: float
    """The most that was ever resident: under load, when there was some."""
    resident: float
    proportional: float
    """Of the pages that it shares with others only its share (PSS)."""


async def time_starts(market: Market, times: int) -> dict[str, Start]:
    """For each service the medians of so many starts, one at a time, while the stores run."""
    found = {}
    for name in SERVICES:
        starts = [await _start(market, name) for _ in range(times)]
        found[name] = Start(median(s.seconds for s in starts), median(s.cpu_seconds for s in starts))
    return found


async def _start(market: Market, name: str) -> Start:
    await market.stack.stop(name)
    is_ready = http_answers(market.ports[name], "/readyz")
    begun = time.perf_counter()
    starting = asyncio.create_task(market.stack.start(name))
    while not await is_ready():  # noqa: ASYNC110 - another process has no Event for us
        await asyncio.sleep(_LOOK)
    seconds = time.perf_counter() - begun
    await starting
    return Start(seconds, processes.cpu_seconds(market.pid(name)))


def memory() -> dict[str, Memory]:
    """Of every part of the market."""
    return {
        name: Memory(processes.peak_rss_mb(pid), processes.rss_mb(pid), processes.pss_mb(pid))
        for name, pid in sorted(processes.running_parts().items())
        if name != "floor"
    }
