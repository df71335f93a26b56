"""The stack that is measured: its own stores and services, the floor, and second workers on request."""

import contextlib
import os
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from ticketing_bench.load import Connection, connect
from ticketing_common.http.sessions import User, encode_token
from ticketing_common.messaging.bus import Bus, open_bus
from ticketing_common.testing import wait_until
from ticketing_common.testing.servers import free_port
from ticketing_common.values.ids import new_id
from ticketing_local.plan import Plan, plan_stack, python_process
from ticketing_local.process import ProcessSpec
from ticketing_local.readiness import http_answers
from ticketing_local.replicas import replicate
from ticketing_local.settings import Settings
from ticketing_local.stack import Stack
from ticketing_local.testing import running_stack

SERVICES = ["auth", "tickets", "orders", "payments", "expiration", "worker", "client"]
SECOND_WORKERS = ["tickets-2", "orders-2"]


@dataclass(frozen=True)
class BenchStack:
    stack: Stack
    ports: dict[str, int]
    generator: ProcessPoolExecutor
    bus: Bus
    mongo: MongoClient[dict[str, Any]]

    def new_session(self) -> str:
        """The session cookie of a new user."""
        return encode_token(User(new_id(), "buyer@example.com"), [self.stack.env["JWT_KEY"]])

    async def connect(self, name: str) -> Connection:
        return await connect(self.ports[name])

    async def wait_until_idle(self) -> None:
        """Wait until all events are published and consumed."""
        await wait_until(self._is_idle, 180)

    async def _is_idle(self) -> bool:
        unpublished = {"outbox.0": {"$exists": True}}
        if any(self.mongo[n][n].find_one(unpublished, {"_id": 1}) for n in ("tickets", "orders", "payments")):
            return False
        consumers = ("tickets", "orders", "payments", "expiration")
        return not any([await self.bus.pending_count(name) for name in consumers])

    def cpu_seconds(self, *names: str) -> float:
        """The processor time that these processes have used so far."""
        stats = [Path(f"/proc/{self._pid(name)}/stat").read_text() for name in names]
        fields = [stat.rpartition(")")[2].split() for stat in stats]
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    def _pid(self, name: str) -> int:
        return int(_log(self.stack.data_dir, name).with_suffix(".pid").read_text())


@contextlib.asynccontextmanager
async def running_bench_stack(folder: Path, *, two_workers: bool = False) -> AsyncIterator[BenchStack]:
    """The services log as in production, each to a file. `two_workers`: second workers can be started."""
    ports: dict[str, int] = {"floor": free_port()}
    second_workers = SECOND_WORKERS if two_workers else []

    def plan(settings: Settings, secrets: dict[str, str]) -> Plan:
        planned = plan_stack(settings, secrets)
        replicas = replicate(planned, 2)
        ports.update(replicas.ports)
        address = {"HOST": "127.0.0.1", "PORT": str(ports["floor"])}
        environment = address | {"MONGO_URL": planned.env["MONGO_URL"]}
        is_ready = http_answers(ports["floor"], "/readyz")
        floor = python_process("floor", "ticketing_bench.floor", environment, is_ready)
        seconds = [spec for spec in replicas.processes if spec.name in second_workers]
        specs = [_log_to_file(spec, settings.data_dir) for spec in [*planned.processes, floor, *seconds]]
        return replace(planned, processes=specs)

    async with running_stack(folder, expiration_window_seconds=3600, plan=plan) as stack:
        await stack.supervisor.stop(*second_workers)
        mongo: MongoClient[dict[str, Any]] = MongoClient(stack.env["MONGO_URL"])
        try:
            # Not forked: a forked load generator would share the event loop of this process.
            with mongo, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as generator:
                async with open_bus(stack.env["NATS_URL"], "bench") as bus:
                    yield BenchStack(stack, ports, generator, bus, mongo)
        finally:
            await stack.stop("floor")


def _log_to_file(spec: ProcessSpec, folder: Path) -> ProcessSpec:
    # Reading the log through a pipe would cost processor time in this process. The shell also saves the pid.
    script = 'echo $$ > "${0%.out}.pid"; exec "$@" >> "$0" 2>&1'
    command = ["sh", "-c", script, str(_log(folder, spec.name)), *spec.command]
    return replace(spec, command=command, environment={**spec.environment, "LOG_FORMAT": "json"})


def _log(folder: Path, name: str) -> Path:
    return (folder / "logs" / f"{name}.out").absolute()
