"""Runs the stack in the foreground: starts it, adds the demo data, shows the logs, and stops it in order."""

import asyncio
import shlex
import signal
import time

import httpx

from ticketing_local.api import Refused
from ticketing_local.console import Console, terminal
from ticketing_local.data_dir import watch_free_space
from ticketing_local.errors import StackError
from ticketing_local.seed import EMAIL, PASSWORD, seed
from ticketing_local.settings import Settings, load_settings
from ticketing_local.stack import Planner, Stack, run_stack
from ticketing_local.store_checks import check_named_stores


def run(plan: Planner, started_at: float) -> int:
    """Return the exit status. `started_at` is the time.monotonic() at the start of the program."""
    console = terminal()
    try:
        settings = load_settings()
        asyncio.run(check_named_stores(settings))
        return asyncio.run(_run_until_stopped(settings, console, plan, started_at))
    except StackError as error:
        console.fail(str(error))
        return 1


async def _run_until_stopped(settings: Settings, console: Console, plan: Planner, started_at: float) -> int:
    """Return 0 after one signal to stop, 130 after two."""
    this = asyncio.current_task()
    assert this
    signals = 0

    def stop() -> None:
        nonlocal signals
        signals += 1
        console.say("\nStopping. (Press Ctrl-C again to kill.)" if signals == 1 else "Killing.")
        this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        console.say(f"Starting the stack. Its data is in {settings.data_dir}")
        async with run_stack(settings, console, restarts=True, plan=plan) as stack:
            await _add_demo_data(stack, console)
            _welcome(stack, settings, console, time.monotonic() - started_at)
            console.shows_logs = True
            watching = asyncio.create_task(watch_free_space(stack.data_dir, console))
            try:
                await stack.supervisor.wait_for_failure()
            finally:
                watching.cancel()
    except asyncio.CancelledError:
        console.say("All processes are stopped." if signals == 1 else "All processes are killed.")
        return 0 if signals == 1 else 130
    return 0


async def _add_demo_data(stack: Stack, console: Console) -> None:
    try:
        if count := await seed(stack.base_url):
            console.say(f"  Demo data: {EMAIL} lists {count} tickets.")
    except (Refused, httpx.HTTPError) as error:
        console.warn(f"  The demo tickets were not listed ({error}). The stack works without them.")


def _welcome(stack: Stack, settings: Settings, console: Console, seconds: float) -> None:
    demo = "make demo" if settings.port == 8000 else f"PORT={settings.port} make demo"
    card = "\n  Test card      4242 4242 4242 4242, any future date, any CVC"
    console.say(f"""
{console.paint(f"Ready after {seconds:.1f} s:", 1)} {console.paint(stack.base_url, 4)}

  Demo seller    {EMAIL}, password {PASSWORD}{"" if settings.stripe_api_base else card}
  Demo           {demo}
  For scripts    set -a; . {shlex.quote(str(settings.data_dir / "stack.env"))}
  Full logs      {settings.data_dir / "logs"}
  Stop           Ctrl-C
""")
