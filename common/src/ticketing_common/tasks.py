"""Ends tasks that run beside others."""

import asyncio
from typing import Any

_CANCEL_AGAIN_EVERY = 0.1
"""Seconds."""


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks until all have ended. What they raised stays in them.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, on which nats-py's requests rest, swallows a
    cancellation that arrives together with its result (https://github.com/python/cpython/issues/86296).
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _ended, running = await asyncio.wait(running, timeout=_CANCEL_AGAIN_EVERY)
