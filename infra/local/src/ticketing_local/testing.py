"""Runs a whole stack in a test, on free ports. README.md has an example."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from ticketing_common.testing.servers import free_port
from ticketing_local.console import Console
from ticketing_local.plan import plan_stack
from ticketing_local.seed import seed as add_demo_data
from ticketing_local.settings import Settings
from ticketing_local.stack import Planner, Stack, run_stack


@contextlib.asynccontextmanager
async def running_stack(
    data_dir: Path,
    *,
    expiration_window_seconds: int = 900,
    seed: bool = False,
    plan: Planner = plan_stack,
) -> AsyncIterator[Stack]:
    """Run the processes of `make up`; one that exits stays down until the test starts it.

    A later stack on the same `data_dir` finds its data. Use it on the main thread's event loop: the kernel
    kills the processes when the thread that started them ends.
    """
    # model_construct ignores the environment: no external stores.
    settings = Settings.model_construct(
        port=free_port(), data_dir=data_dir, expiration_window_seconds=expiration_window_seconds
    )
    (data_dir / "logs").mkdir(parents=True, exist_ok=True)
    with (data_dir / "logs" / "stack.log").open("a") as log:
        async with run_stack(settings, Console(log), restarts=False, plan=plan) as stack:
            if seed:
                await add_demo_data(stack.base_url)
            yield stack
