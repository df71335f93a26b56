"""The orders, the processes and the servers that the tests of the expiration service need."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from expiration.config import Settings
from expiration.handlers import Expirations
from expiration.main import create
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common.clock import now
from ticketing_common.events import (
    ExpirationComplete,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderedTicket,
    PricedTicket,
)
from ticketing_common.jetstream import STREAM, Bus, connected
from ticketing_common.mongo import Database, new_id
from ticketing_common.testing import serve_app, wait_until
from ticketing_common.testing.servers import (
    Server,
    die_with_parent,
    free_port,
    mongod,
    nats_server,
    redis_server,
    running,
)


def created(seconds: float = 60.0) -> OrderCreated:
    """A new order that expires in so many seconds."""
    return OrderCreated(
        id=new_id(),
        version=0,
        status="created",
        user_id=new_id(),
        expires_at=now() + timedelta(seconds=seconds),
        ticket=PricedTicket(id=new_id(), n=1, price=2000),
    )


def cancelled(order: OrderCreated, version: int = 1) -> OrderCancelled:
    ticket = OrderedTicket(id=order.ticket.id, n=1)
    return OrderCancelled(id=order.id, version=version, reason="user", ticket=ticket)


def completed(order: OrderCreated, version: int = 1) -> OrderCompleted:
    ticket = OrderedTicket(id=order.ticket.id, n=1)
    return OrderCompleted(id=order.id, version=version, user_id=order.user_id, ticket=ticket)


@pytest.fixture
async def ledger(database: Database) -> Ledger:
    ledger = Ledger(database)
    await ledger.ensure_indexes()
    return ledger


@pytest.fixture
def schedule(redis_url: str) -> Iterator[Schedule]:
    schedule = Schedule(redis_url)
    yield schedule
    schedule.connection.close()


@pytest.fixture
def expirations(ledger: Ledger, schedule: Schedule) -> Expirations:
    return Expirations(ledger, schedule)


@dataclass
class Market:
    """The stores, as the service's two processes are told of them, and what happens at them."""

    settings: Settings
    bus: Bus

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """The service itself, in this process."""
        async with serve_app(create(self.settings)):
            yield

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """The worker, as the process that it is; killed at the end, if not before."""
        told = {
            name.upper(): str(getattr(self.settings, name)) for name in ("mongo_uri", "nats_url", "redis_url")
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "expiration.worker"],
            env=os.environ | told | {"LOG_FORMAT": "console"},
            preexec_fn=die_with_parent,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def place(self, *orders: OrderCreated) -> None:
        """Publish the orders, and wait until the service follows them all."""
        await asyncio.gather(*(self.bus.publish(order) for order in orders))
        await self.handled()

    async def handled(self) -> None:
        """Wait until the service has nothing left to hear of."""

        async def nothing_left() -> bool:
            consumer = await self.bus.js.consumer_info(str(STREAM.name), "expiration")
            return not consumer.num_pending and not consumer.num_ack_pending

        await wait_until(nothing_left, 30)

    async def count_told(self) -> int:
        """How many expirations the stream has."""
        state = (await self.bus.js.stream_info(str(STREAM.name), subjects_filter="expiration.complete")).state
        return sum((state.subjects or {}).values())

    async def told(self) -> list[tuple[str, datetime]]:
        """Every expiration in the stream: the order, and when the stream had it."""
        messages = []
        sequence = 1
        for _ in range(await self.count_told()):
            message = await self.bus.js.get_msg(
                str(STREAM.name), sequence, subject=ExpirationComplete.subject, next=True
            )
            assert message.data and message.seq and message.time
            messages.append(
                (ExpirationComplete.model_validate_json(message.data).order_id, _aware(message.time))
            )
            sequence = message.seq + 1
        return messages

    async def lateness(self, *orders: OrderCreated, seconds: float = 15.0) -> list[float]:
        """Wait until all these orders are told of, once each and nothing else; returns how late, in seconds."""

        async def all_told() -> bool:
            return await self.count_told() >= len(orders)

        await wait_until(all_told, seconds)
        told = await self.told()
        assert sorted(order_id for order_id, _ in told) == sorted(order.id for order in orders)
        expires_at = {order.id: order.expires_at for order in orders}
        return sorted((at - expires_at[order_id]).total_seconds() for order_id, at in told)


def _aware(moment: object) -> datetime:
    assert isinstance(moment, datetime)
    return moment


@pytest.fixture
def market(mongo_uri: str, nats_url: str, redis_url: str, bus: Bus, database: Database) -> Market:
    """The run's own servers, empty."""
    return Market(Settings(mongo_uri=mongo_uri, nats_url=nats_url, redis_url=redis_url), bus)


@dataclass
class Stores:
    """Servers of one test's own, which it may stop and start."""

    servers: dict[str, Server]
    up: dict[str, ExitStack] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        for name in names:
            self.up[name] = ExitStack()
            self.up[name].enter_context(running(self.servers[name]))

    def stop(self, *names: str) -> None:
        for name in names:
            self.up.pop(name).close()

    @property
    def settings(self) -> Settings:
        urls = {name: server.url for name, server in self.servers.items()}
        return Settings(
            mongo_uri=f"{urls['mongo']}/expiration", nats_url=urls["nats"], redis_url=urls["redis"]
        )


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """MongoDB, NATS and Redis, not yet started."""
    servers = {"mongo": mongod, "nats": nats_server, "redis": redis_server}
    stores = Stores({name: make(free_port(), tmp_path) for name, make in servers.items()})
    yield stores
    stores.stop(*list(stores.up))


@pytest.fixture
def market_of() -> Callable[[Stores], object]:
    """The market on servers of a test's own."""

    @asynccontextmanager
    async def open_market(stores: Stores) -> AsyncIterator[Market]:
        async with connected(stores.settings.nats_url, "test") as bus:
            yield Market(stores.settings, bus)

    return open_market


def stop(process: subprocess.Popen[bytes], signum: int = signal.SIGTERM) -> int:
    """Tell a process to stop; its exit status."""
    process.send_signal(signum)
    return process.wait(5)
