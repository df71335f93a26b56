"""Background work of a process: repeated until the process stops, retried while a dependency is down."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ticketing_common.observability.logs import get_logger
from ticketing_common.observability.metrics import JOB_FAILURES

Job = Callable[[asyncio.Event], Awaitable[None]]
"""Work beside the requests, until the event is set. It finishes what it has started."""

T = TypeVar("T")

_SHORTEST_BACK_OFF = 1.0
_LONGEST_BACK_OFF = 60.0
"""Seconds."""
_LOG_OUTAGE_EVERY = 60.0
"""Seconds."""
_CANCEL_AGAIN_EVERY = 0.1
"""Seconds."""

log = get_logger(__name__)


async def repeat(
    step: Callable[[], Awaitable[object]],
    stopping: asyncio.Event,
    *,
    name: str,
    every: float = 0.0,
    jitter: float = 0.0,
    outages: tuple[type[Exception], ...] = (),
    longest_back_off: float | None = None,
) -> None:
    """Call `step` until `stopping` is set, with `every` seconds between two calls.

    `jitter`: up to so many seconds are added at random, so that replicas do not call at the same moment.
    `outages`: the errors of a dependency that is down. The step is called again at the same pace, and the
    error is logged once a minute. Any other error is logged with its traceback, counted in
    `ticketing_background_job_failures_total`, and retried with a back-off from 1 to 60 s, or to
    `longest_back_off`: a process never serves HTTP without its background work.
    """
    longest = longest_back_off or _LONGEST_BACK_OFF
    back_off = _SHORTEST_BACK_OFF
    outage_logged_at = float("-inf")
    while not stopping.is_set():
        started = time.monotonic()
        pause = every + random.uniform(0, jitter)
        try:
            await step()
            back_off = _SHORTEST_BACK_OFF
            outage_logged_at = float("-inf")
        except outages as error:
            if started - outage_logged_at > _LOG_OUTAGE_EVERY:
                log.warning("waiting for a dependency", job=name, reason=repr(error)[:200])
                outage_logged_at = started
        except Exception:
            if time.monotonic() - started > longest:  # it had recovered
                back_off = _SHORTEST_BACK_OFF
            log.exception("background job failed, restarting it", job=name, seconds=back_off)
            JOB_FAILURES.labels(name).inc()
            pause = back_off
            back_off = min(2 * back_off, longest)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)


async def retry_while_down(
    call: Callable[[], Awaitable[T]],
    outages: tuple[type[Exception], ...],
    *,
    waiting_for: str,
    every: float = 0.25,
) -> T:
    """The result of `call`, repeated every `every` seconds while it raises one of `outages`."""
    while True:
        try:
            return await call()
        except outages as error:
            log.warning(f"waiting for {waiting_for}", reason=repr(error)[:200])
            await asyncio.sleep(every)


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks until all have ended. Exceptions stay in the tasks.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which nats-py uses for requests, swallows a
    cancellation that arrives together with its result (https://github.com/python/cpython/issues/86296).
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _ended, running = await asyncio.wait(running, timeout=_CANCEL_AGAIN_EVERY)
