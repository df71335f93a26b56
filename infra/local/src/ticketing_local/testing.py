"""For whole-stack tests: a market of their own, on free ports, whose parts they can kill, freeze and restart.

async with running_stack(tmp_path, expiration_window_seconds=3) as stack:
    async with httpx.AsyncClient(base_url=stack.base_url) as buyer: ...
    await stack.kill("orders")
    await stack.start("orders")
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from ticketing_common.testing.servers import free_port
from ticketing_local.console import Console
from ticketing_local.parts import plan_parts
from ticketing_local.seed import seed as plant
from ticketing_local.settings import Settings
from ticketing_local.stack import Planner, Stack, started


@contextlib.asynccontextmanager
async def running_stack(
    data_dir: Path,
    *,
    expiration_window_seconds: int = 900,
    log_level: Literal["debug", "info", "warning", "error"] = "info",
    seed: bool = False,
    plan: Planner = plan_parts,
) -> AsyncIterator[Stack]:
    """The same parts as `make up`, with one difference: a part that dies stays dead until the test starts it.

    A second stack on the same `data_dir`, once the first has ended, finds its data. What the parts say is in
    `data_dir/logs`; the error of a start that fails bears the end of it. (Use it on the main thread's loop:
    the parts are killed when the thread that started them ends.)
    """
    settings = Settings(
        port=free_port(),
        data_dir=data_dir,
        expiration_window_seconds=expiration_window_seconds,
        log_level=log_level,
        # Stores of its own, whatever the environment says.
        mongo_url=None,
        nats_url=None,
        redis_url=None,
        stripe_api_base=None,
        stripe_key=None,
        stripe_publishable_key=None,
        stripe_webhook_secret=None,
    )
    (data_dir / "logs").mkdir(parents=True, exist_ok=True)
    with (data_dir / "logs" / "stack.log").open("a") as log:
        async with started(settings, Console(log), restarts=False, plan=plan) as stack:
            if seed:
                await plant(stack.base_url)
            yield stack
