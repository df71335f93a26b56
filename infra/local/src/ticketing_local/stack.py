"""Runs the whole stack: locks its folder, plans its processes, starts them, and stops them in order."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ticketing_common.testing.servers import ServerUnavailable
from ticketing_local.console import Console
from ticketing_local.data_dir import load_secrets, lock_folder, report_disk_errors, write_env_file
from ticketing_local.errors import StackError
from ticketing_local.ingress import check_port_is_free, plan_ingress
from ticketing_local.plan import Plan, plan_stack
from ticketing_local.process import ProcessSpec
from ticketing_local.replicas import service_of
from ticketing_local.settings import Settings
from ticketing_local.supervisor import Supervisor

STOP_ORDER = [
    ["ingress"],
    ["client"],
    ["auth", "tickets", "orders", "payments", "expiration", "worker"],
    ["stripe"],
    ["mongod", "nats", "redis"],
]
"""Clients stop before their servers. All but the ingress start at once: services wait for their stores."""


@dataclass(frozen=True)
class Stack:
    """A running stack."""

    data_dir: Path
    env: dict[str, str]
    """The content of stack.env."""
    supervisor: Supervisor

    @property
    def base_url(self) -> str:
        return self.env["BASE_URL"]

    async def start(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a process and wait until it is ready; `environment` is added to its own."""
        await self.supervisor.start(name, environment=environment)

    async def stop(self, name: str) -> None:
        await self.supervisor.stop(name)

    async def kill(self, name: str) -> None:
        await self.supervisor.kill(name)

    async def restart(self, name: str) -> None:
        await self.stop(name)
        await self.start(name)

    async def replace(self, spec: ProcessSpec) -> None:
        """Stop the process of this name, and start another version of it."""
        await self.stop(spec.name)
        self.supervisor.update(spec)
        await self.start(spec.name)

    def pause(self, name: str) -> None:
        """Freeze a process (SIGSTOP): its connections stay open, and it does not answer."""
        self.supervisor.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.supervisor.signal(name, signal.SIGCONT)


Planner = Callable[[Settings, dict[str, str]], Plan]
"""Returns the plan for these settings and secrets."""


@contextlib.asynccontextmanager
async def run_stack(
    settings: Settings, console: Console, *, restarts: bool, plan: Planner = plan_stack
) -> AsyncIterator[Stack]:
    """Start the stack, yield it when it is ready, and stop it. Raises StackError if it cannot start."""
    data_dir = settings.data_dir
    env_file = data_dir / "stack.env"
    with lock_folder(data_dir):
        with report_disk_errors(data_dir):
            env_file.unlink(missing_ok=True)  # left by a stack that was killed
            check_port_is_free(settings.port)
            try:
                planned = plan(settings, load_secrets(settings))
                ingress = plan_ingress(settings.port, planned.ports, data_dir)
            except ServerUnavailable as error:
                raise StackError(str(error)) from error
            supervisor = Supervisor(
                [*planned.processes, ingress], data_dir / "logs", console, restarts=restarts
            )
        try:
            for name, url in planned.external.items():
                console.show_state(name, "external", f"at {url}")
            await supervisor.start(*(spec.name for spec in planned.processes))
            # Before the ingress starts: a script that reaches the ingress finds the file.
            with report_disk_errors(data_dir):
                write_env_file(env_file, planned.env)
            check_port_is_free(settings.port)
            await supervisor.start(ingress.name)
            yield Stack(data_dir, planned.env, supervisor)
        finally:
            env_file.unlink(missing_ok=True)
            await _stop_in_order(supervisor, console)


async def _stop_in_order(supervisor: Supervisor, console: Console) -> None:
    console.shows_logs = False
    try:
        for services in STOP_ORDER:
            if names := [name for name in supervisor.names if service_of(name) in services]:
                console.say(f"  stopping {', '.join(names)}")
                await supervisor.stop(*names)
    except asyncio.CancelledError:  # a second Ctrl-C
        await supervisor.kill(*supervisor.names)
        raise
