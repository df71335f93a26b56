"""The whole stack from its first file to its last process: claim, plan, start in order, stop in order."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ticketing_common.testing.servers import ServerUnavailable
from ticketing_local.claims import own_folder, refuse_port_in_use
from ticketing_local.console import Console
from ticketing_local.disk import disk_errors_reported
from ticketing_local.env_file import write_env_file
from ticketing_local.errors import StackError
from ticketing_local.ingress import ingress
from ticketing_local.keys import keys
from ticketing_local.parts import STOP_ORDER, Plan, plan_parts
from ticketing_local.process import Part
from ticketing_local.replicas import service_of
from ticketing_local.settings import Settings
from ticketing_local.supervisor import Supervisor


@dataclass(frozen=True)
class Stack:
    """A market that runs."""

    data_dir: Path
    env: dict[str, str]
    """What stack.env says."""
    supervisor: Supervisor

    @property
    def base_url(self) -> str:
        return self.env["BASE_URL"]

    async def start(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a part again, and return when it is ready; `environment` is added to its own."""
        await self.supervisor.start(name, environment=environment)

    async def stop(self, name: str) -> None:
        """End a part as an orderly shutdown does (SIGTERM); it stays stopped."""
        await self.supervisor.stop(name)

    async def kill(self, name: str) -> None:
        """kill -9, with all that it forked; it stays dead."""
        await self.supervisor.kill(name)

    async def replace(self, part: Part) -> None:
        """Stop the part of this name, and start it as it is described here: another version of it."""
        await self.stop(part.name)
        self.supervisor.describe(part)
        await self.start(part.name)

    async def restart(self, name: str) -> None:
        """Orderly down and up again."""
        await self.stop(name)
        await self.start(name)

    def pause(self, name: str) -> None:
        """Freeze it: its connections stay open, and nothing answers."""
        self.supervisor.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.supervisor.signal(name, signal.SIGCONT)


Planner = Callable[[Settings, dict[str, str]], Plan]


@contextlib.asynccontextmanager
async def started(
    settings: Settings, console: Console, *, restarts: bool, plan: Planner = plan_parts
) -> AsyncIterator[Stack]:
    """The market, ready when this yields, and gone when it is left, whatever happens in between."""
    data_dir = settings.data_dir
    env_file = data_dir / "stack.env"
    with own_folder(data_dir):
        with disk_errors_reported(data_dir):
            env_file.unlink(missing_ok=True)  # of a stack that could not tidy up
            refuse_port_in_use(settings.port)
            try:
                planned = plan(settings, keys(settings))
                door = ingress(settings.port, planned.ports, data_dir)
            except ServerUnavailable as error:
                raise StackError(str(error)) from error
            parts = [*planned.parts, door]
            supervisor = Supervisor(parts, data_dir / "logs", console, restarts=restarts)
        try:
            for name, url in planned.elsewhere.items():
                console.part(name, "not ours", f"it runs at {url}")
            await supervisor.start(*(part.name for part in planned.parts))
            # Before the door opens, so that whoever finds it open finds the file.
            with disk_errors_reported(data_dir):
                write_env_file(env_file, planned.env)
            refuse_port_in_use(settings.port)
            await supervisor.start(door.name)
            yield Stack(data_dir, planned.env, supervisor)
        finally:
            env_file.unlink(missing_ok=True)
            await _stop_in_order(supervisor, console)


async def _stop_in_order(supervisor: Supervisor, console: Console) -> None:
    console.streaming = False
    try:
        for names in STOP_ORDER:
            ours = [name for name in supervisor.names if service_of(name) in names]
            if ours:
                console.say(f"  stopping {', '.join(ours)}")
                await supervisor.stop(*ours)
    except asyncio.CancelledError:  # asked a second time: no more patience
        await supervisor.kill(*supervisor.names)
        raise
