"""The market that is measured: a stack of its own, with the floor and second workers beside the services."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from ticketing_bench import processes
from ticketing_bench.load import Connection, Generator, connect, request
from ticketing_common.auth import User, sign
from ticketing_common.jetstream import Bus, connected
from ticketing_common.mongo import new_id
from ticketing_common.testing.servers import free_port
from ticketing_local.parts import Plan, plan_parts, python_part
from ticketing_local.probes import http_answers
from ticketing_local.process import Part
from ticketing_local.settings import Settings
from ticketing_local.stack import Stack
from ticketing_local.testing import running_stack

SERVICES = ["auth", "tickets", "orders", "payments", "expiration", "worker", "client"]
DOUBLED = ["tickets", "orders"]
"""Those that a second worker can be started of."""
_FOLLOWERS = ["tickets", "orders", "payments", "expiration"]


@dataclass(frozen=True)
class Market:
    stack: Stack
    ports: dict[str, int]
    generator: Generator
    bus: Bus
    store: MongoClient[dict[str, Any]]

    def session(self) -> tuple[str, str]:
        """Somebody who is signed in: the id and the cookie's value."""
        user = User(new_id(), "buyer@example.com")
        return user.id, sign(user, [self.stack.env["JWT_KEY"]])

    def pid(self, name: str) -> int:
        return processes.running_parts()[name]

    async def connect(self, name: str) -> Connection:
        return await connect(self.ports[name])

    async def post(self, name: str, path: str, body: dict[str, Any], session: str = "") -> dict[str, Any]:
        """The JSON of the answer, which must be a success."""
        connection = await self.connect(name)
        status, said = await connection.ask(
            request("POST", path, session=session, body=json.dumps(body).encode())
        )
        connection.close()
        assert status in (200, 201), f"POST {path}: {status} {said!r}"
        answer: dict[str, Any] = json.loads(said)
        return answer

    async def quiet(self, patience: float = 180) -> float:
        """Wait until every event is handled and no outbox holds one; the seconds that it took."""
        begun = time.perf_counter()
        while await self._busy():
            assert time.perf_counter() - begun < patience, "the followers do not catch up"
            await asyncio.sleep(0.1)
        return time.perf_counter() - begun

    async def _busy(self) -> bool:
        left = {"outbox.0": {"$exists": True}}
        if any(self.store[name][name].find_one(left, {"_id": 1}) for name in DOUBLED):
            return True
        return any([await self.bus.waiting(name) for name in _FOLLOWERS])


@contextlib.asynccontextmanager
async def running_market(folder: Path, *, doubled: bool = False) -> AsyncIterator[Market]:
    """The services log as in production, each into a file. `doubled`: second workers can be started."""
    ports: dict[str, int] = {}
    seconds = {name: f"{name}-2" for name in DOUBLED} if doubled else {}
    ours = ["floor", *seconds.values()]

    def plan(settings: Settings, secrets: dict[str, str]) -> Plan:
        planned = plan_parts(settings, secrets)
        ports.update(planned.ports, ingress=settings.port)
        by_name = {part.name: part for part in planned.parts}
        ports.update({name: free_port() for name in ours})
        told = {"HOST": "127.0.0.1", "PORT": str(ports["floor"]), "MONGO_URL": planned.env["MONGO_URL"]}
        floor = python_part("floor", "ticketing_bench.floor", told, http_answers(ports["floor"], "/readyz"))
        added = [floor, *(_second(by_name[name], ports[second]) for name, second in seconds.items())]
        named = [_as_in_production(part, settings.data_dir) for part in [*planned.parts, *added]]
        return replace(planned, parts=named)

    async with running_stack(folder, expiration_window_seconds=3600, plan=plan) as stack:
        generator = Generator()
        store: MongoClient[dict[str, Any]] = MongoClient(stack.env["MONGO_URL"])
        try:
            await stack.supervisor.stop(*seconds.values())
            async with connected(stack.env["NATS_URL"], "bench") as bus:
                yield Market(stack, ports, generator, bus, store)
        finally:
            generator.close()
            store.close()
            await stack.supervisor.stop(*ours)


def _second(part: Part, port: int) -> Part:
    environment = {**part.environment, "PORT": str(port)}
    return replace(
        part, name=f"{part.name}-2", environment=environment, is_ready=http_answers(port, "/readyz")
    )


def _as_in_production(part: Part, folder: Path) -> Part:
    # Through a pipe the lines would be read by this process, at the cost of what is measured.
    log = (folder / "logs" / f"{part.name}.out").absolute()
    command = ["sh", "-c", 'exec "$@" >>"$0" 2>&1', str(log), *part.command]
    environment = {**part.environment, "LOG_FORMAT": "json", processes.NAME: part.name}
    return replace(part, command=command, environment=environment)
