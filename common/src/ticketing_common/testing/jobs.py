"""Runs a background job, such as a relay or a listener, during a block of a test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def running_job(job: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Stops the job at the end of the block as an app does. Raises the job's error."""
    stopping = asyncio.Event()
    task = asyncio.create_task(job(stopping))
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 15)
