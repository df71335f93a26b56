"""The orders, the processes and the servers that the tests of the expiration service need."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from expiration.config import Settings
from expiration.handlers import Expirations, on_order_created
from expiration.main import create
from expiration.pending import PendingJobs
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, STREAM, Bus, open_bus
from ticketing_common.storage.mongo import Database
from ticketing_common.testing import serve_app, wait_until
from ticketing_common.testing.servers import (
    die_with_parent,
    free_port,
    freeze,
    mongod,
    nats_server,
    redis_server,
    running,
)
from ticketing_common.values.clock import now
from ticketing_common.values.events import (
    ExpirationComplete,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderedTicket,
    PricedTicket,
)
from ticketing_common.values.ids import new_id


class Orders:
    """What the orders service says of an order."""

    @staticmethod
    def created(seconds: float = 60.0) -> OrderCreated:
        """A new order that expires in so many seconds."""
        return OrderCreated(
            id=new_id(),
            version=0,
            status="created",
            user_id=new_id(),
            expires_at=now() + timedelta(seconds=seconds),
            ticket=PricedTicket(id=new_id(), n=1, price=Decimal(20)),
        )

    @staticmethod
    def cancelled(order: OrderCreated) -> OrderCancelled:
        ticket = OrderedTicket(id=order.ticket.id, n=1)
        return OrderCancelled(id=order.id, version=1, reason="user", ticket=ticket)

    @staticmethod
    def completed(order: OrderCreated) -> OrderCompleted:
        ticket = OrderedTicket(id=order.ticket.id, n=1)
        return OrderCompleted(id=order.id, version=1, user_id=order.user_id, ticket=ticket)


@pytest.fixture
def orders() -> type[Orders]:
    return Orders


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
    return Expirations(ledger, PendingJobs(schedule))


@pytest.fixture
async def overdue_burst(expirations: Expirations) -> list[OrderCreated]:
    """Orders that the service follows already and that are all due, too many for a blink."""
    orders = [Orders.created(-1) for _ in range(2000)]
    await asyncio.gather(*(on_order_created(order, expirations) for order in orders))
    await expirations.jobs.write()
    return orders


@dataclass
class Market:
    """The stores, as the service's two processes are told of them, and what happens at them."""

    settings: Settings
    bus: Bus
    worker_log: Path
    worker_url: str = ""
    """Of the worker that was started last."""

    @asynccontextmanager
    async def service(self) -> AsyncIterator[httpx.AsyncClient]:
        """The service itself, in this process."""
        async with serve_app(create(self.settings)) as client:
            yield client

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """The worker, as the process that it is; killed at the end, if not before."""
        told = {
            name.upper(): str(getattr(self.settings, name)) for name in ("mongo_uri", "nats_url", "redis_url")
        }
        port = free_port()
        self.worker_url = f"http://127.0.0.1:{port}"
        told |= {"HOST": "127.0.0.1", "PORT": str(port), "LOG_FORMAT": "console"}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "expiration.worker"],
            env=os.environ | told,
            stdout=self.worker_log.open("ab"),
            preexec_fn=die_with_parent,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            print(self.worker_log.read_text())

    async def worker_metric(self, name: str, **labels: str) -> float | None:
        """The value of a series that the worker exports."""
        async with httpx.AsyncClient(base_url=self.worker_url) as worker:
            text = (await worker.get("/metrics")).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return next((s.value for s in samples if (s.name, s.labels) == (name, labels)), None)

    async def worker_says(self, words: bytes) -> None:
        """Wait until the worker has logged these words."""

        async def said() -> bool:
            return words in self.worker_log.read_bytes()

        await wait_until(said, 30)

    async def place(self, *orders: OrderCreated) -> None:
        """Publish the orders, and wait until the service follows them all."""
        await asyncio.gather(*(self.bus.publish(order) for order in orders))
        await self.handled()

    async def handled(self) -> None:
        """Wait until the service has nothing left to hear of."""

        async def nothing_left() -> bool:
            try:
                consumer = await self.bus.js.consumer_info(str(STREAM.name), "expiration")
            except NATS_UNAVAILABLE:  # not there yet
                return False
            return not consumer.num_pending and not consumer.num_ack_pending

        await wait_until(nothing_left, 30)

    async def count_told(self) -> int:
        """How many expirations the stream has."""
        try:
            info = await self.bus.js.stream_info(str(STREAM.name), subjects_filter=ExpirationComplete.subject)
        except NATS_UNAVAILABLE:  # just being restarted
            return 0
        return sum((info.state.subjects or {}).values())

    async def told(self) -> list[tuple[str, datetime]]:
        """Every expiration in the stream: the order, and when the stream had it."""
        messages = []
        sequence = 1
        for _ in range(await self.count_told()):
            message = await self.bus.js.get_msg(
                str(STREAM.name), sequence, subject=ExpirationComplete.subject, next=True
            )
            event = ExpirationComplete.model_validate_json(message.data or b"")
            messages.append((event.order_id, message.time))
            sequence = (message.seq or 0) + 1
        return messages

    async def lateness(self, *orders: OrderCreated, seconds: float = 15.0) -> list[float]:
        """Wait until these orders, and no others, are told of, once each; how late each was, in seconds."""

        async def all_told() -> bool:
            return await self.count_told() >= len(orders)

        await wait_until(all_told, seconds)
        told = await self.told()
        assert sorted(order_id for order_id, _ in told) == sorted(order.id for order in orders)
        expires_at = {order.id: order.expires_at for order in orders}
        return sorted((at - expires_at[order_id]).total_seconds() for order_id, at in told)


@pytest.fixture
def market(
    mongo_uri: str, nats_url: str, redis_url: str, bus: Bus, database: Database, tmp_path: Path
) -> Market:
    """The run's own servers, empty."""
    settings = Settings(mongo_uri=mongo_uri, nats_url=nats_url, redis_url=redis_url, log_format="console")
    return Market(settings, bus, tmp_path / "worker.log")


class Stores:
    """MongoDB, NATS and Redis of one test's own, which it may stop and start; all run at first."""

    def __init__(self, folder: Path) -> None:
        makers = {"mongo": mongod, "nats": nats_server, "redis": redis_server}
        self._servers = {name: make(free_port(), folder) for name, make in makers.items()}
        self._running: dict[str, ExitStack] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.start(*makers)
        urls = {name: server.url for name, server in self._servers.items()}
        self.settings = Settings(
            mongo_uri=f"{urls['mongo']}/expiration",
            nats_url=urls["nats"],
            redis_url=urls["redis"],
            log_format="console",
        )

    def start(self, *names: str) -> None:
        for name in names:
            self._running[name] = ExitStack()
            self._processes[name] = self._running[name].enter_context(running(self._servers[name]))

    def stop(self, *names: str) -> None:
        for name in names:
            self._running.pop(name).close()

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """The server accepts connections and does not answer."""
        freeze(self._processes[name])
        try:
            yield
        finally:
            self._processes[name].send_signal(signal.SIGCONT)

    def stop_all(self) -> None:
        self.stop(*list(self._running))


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    stores = Stores(tmp_path)
    yield stores
    stores.stop_all()


@pytest.fixture
async def own_market(stores: Stores, tmp_path: Path) -> AsyncIterator[Market]:
    """As market, on the stores of this test's own."""
    async with open_bus(stores.settings.nats_url, "test") as bus:
        yield Market(stores.settings, bus, tmp_path / "worker.log")
