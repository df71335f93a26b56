"""Runs the market until somebody stops it: start, demo data, welcome, log lines, orderly stop."""

import asyncio
import shlex
import signal
import time

import httpx

from ticketing_local import BEGAN
from ticketing_local.console import Console, terminal
from ticketing_local.disk import watch_disk
from ticketing_local.errors import StackError
from ticketing_local.market import Refused
from ticketing_local.named_stores import check_named_stores
from ticketing_local.seed import EMAIL, PASSWORD, seed
from ticketing_local.settings import Settings, from_environment
from ticketing_local.stack import Planner, Stack, started


def run(plan: Planner) -> int:
    """Run the market that the environment describes; returns the exit status."""
    console = terminal()
    try:
        settings = from_environment()
        asyncio.run(check_named_stores(settings))
        return asyncio.run(up(settings, console, plan))
    except StackError as error:
        console.fail(str(error))
        return 1


async def up(settings: Settings, console: Console, plan: Planner) -> int:
    """Run until somebody asks to stop (exit status 0; 130 when they had to ask twice)."""
    this = asyncio.current_task()
    assert this
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        console.say("\nStopping. (Ctrl-C again: at once)" if asked == 1 else "At once.")
        this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        console.say(f"Starting the market; its data is in {settings.data_dir}")
        async with started(settings, console, restarts=True, plan=plan) as stack:
            await _plant(stack, console)
            _welcome(stack, settings, console)
            console.streaming = True
            watching = asyncio.create_task(watch_disk(stack.data_dir, console))
            try:
                await stack.supervisor.until_one_is_given_up()
            finally:
                watching.cancel()
    except asyncio.CancelledError:
        console.say("All stopped." if asked == 1 else "All killed.")
        return 0 if asked == 1 else 130
    return 0


async def _plant(stack: Stack, console: Console) -> None:
    try:
        if listed := await seed(stack.base_url):
            console.say(f"  A new market: {EMAIL} lists {listed} tickets.")
    except (Refused, httpx.HTTPError) as error:  # it runs without them
        console.warn(f"  The demo tickets could not be listed: {error}")


def _welcome(stack: Stack, settings: Settings, console: Console) -> None:
    took = time.monotonic() - BEGAN
    env_file = settings.data_dir / "stack.env"
    card = (
        ""
        if settings.stripe_api_base
        else "\n  Test card      4242 4242 4242 4242, any date to come, any code"
    )
    console.say(f"""
{console.paint(f"Ready after {took:.1f} s:", 1)} {console.paint(stack.base_url, 4)}

  Demo seller    {EMAIL}, password {PASSWORD}{card}
  See it work    {_again("make demo", settings)}
  For scripts    set -a; . {shlex.quote(str(env_file))}
  Full logs      {settings.data_dir / "logs"}
  Stop           Ctrl-C
""")


def _again(command: str, settings: Settings) -> str:
    return command if settings.port == 8000 else f"PORT={settings.port} {command}"
