"""Fixtures of the expiration service's tests: events of orders, the two processes, and servers."""

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
from expiration.job_changes import JobChanges
from expiration.job_queue import JobQueue
from expiration.main import create
from expiration.repository import Ledger
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
    """Events of the orders service."""

    @staticmethod
    def created(seconds: float = 60.0) -> OrderCreated:
        """The event of a new order that expires in `seconds`."""
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
def job_queue(redis_url: str) -> Iterator[JobQueue]:
    job_queue = JobQueue(redis_url)
    yield job_queue
    job_queue.connection.close()


@pytest.fixture
def expirations(ledger: Ledger, job_queue: JobQueue) -> Expirations:
    return Expirations(ledger, JobChanges(job_queue))


@pytest.fixture
async def overdue_burst(expirations: Expirations) -> list[OrderCreated]:
    """Orders that are in the ledger and due, too many to be published at once."""
    orders = [Orders.created(-1) for _ in range(2000)]
    await asyncio.gather(*(on_order_created(order, expirations) for order in orders))
    await expirations.job_changes.write()
    return orders


@dataclass
class System:
    """The service and its worker on the same stores."""

    settings: Settings
    bus: Bus
    worker_log: Path
    worker_url: str = ""
    """Of the worker that was started last."""

    @asynccontextmanager
    async def service(self) -> AsyncIterator[httpx.AsyncClient]:
        """Run the service in this process."""
        async with serve_app(create(self.settings)) as client:
            yield client

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the worker as a process; it is killed at the end."""
        environment = {
            name.upper(): str(getattr(self.settings, name)) for name in ("mongo_uri", "nats_url", "redis_url")
        }
        port = free_port()
        self.worker_url = f"http://127.0.0.1:{port}"
        environment |= {"HOST": "127.0.0.1", "PORT": str(port), "LOG_FORMAT": "console"}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "expiration.worker"],
            env=os.environ | environment,
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
        """The value of one of the worker's metrics; None while it starts."""
        async with httpx.AsyncClient(base_url=self.worker_url) as worker:
            try:
                text = (await worker.get("/metrics")).text
            except httpx.ConnectError:
                return None
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return next((s.value for s in samples if (s.name, s.labels) == (name, labels)), None)

    async def wait_for_log(self, message: bytes) -> None:
        """Wait until the worker has logged this message."""

        async def is_logged() -> bool:
            return message in self.worker_log.read_bytes()

        await wait_until(is_logged, 30)

    async def publish_orders(self, *orders: OrderCreated) -> None:
        """Publish new orders, and wait until the service has handled all events."""
        await asyncio.gather(*(self.bus.publish(order) for order in orders))

        async def all_handled() -> bool:
            try:
                consumer = await self.bus.js.consumer_info(str(STREAM.name), "expiration")
            except NATS_UNAVAILABLE:  # the consumer does not exist yet
                return False
            return not consumer.num_pending and not consumer.num_ack_pending

        await wait_until(all_handled, 30)

    async def count_published(self) -> int:
        """The number of ExpirationComplete events in the stream."""
        try:
            info = await self.bus.js.stream_info(str(STREAM.name), subjects_filter=ExpirationComplete.subject)
        except NATS_UNAVAILABLE:  # NATS is restarting
            return 0
        return sum((info.state.subjects or {}).values())

    async def published_expiries(self) -> list[tuple[str, datetime]]:
        """The order of each ExpirationComplete event in the stream, and when the event was stored."""
        messages = []
        sequence = 1
        for _ in range(await self.count_published()):
            message = await self.bus.js.get_msg(
                str(STREAM.name), sequence, subject=ExpirationComplete.subject, next=True
            )
            event = ExpirationComplete.model_validate_json(message.data or b"")
            assert message.time
            messages.append((event.order_id, message.time))
            sequence = (message.seq or 0) + 1
        return messages

    async def wait_for_expiries(self, *orders: OrderCreated, seconds: float = 15.0) -> list[float]:
        """Wait until exactly these orders have expired once each; returns the delays in seconds, sorted."""

        async def all_published() -> bool:
            return await self.count_published() >= len(orders)

        await wait_until(all_published, seconds)
        published = await self.published_expiries()
        assert sorted(order_id for order_id, _ in published) == sorted(order.id for order in orders)
        expires_at = {order.id: order.expires_at for order in orders}
        return sorted((at - expires_at[order_id]).total_seconds() for order_id, at in published)


@pytest.fixture
def system(
    mongo_uri: str, nats_url: str, redis_url: str, bus: Bus, database: Database, tmp_path: Path
) -> System:
    """The system on the servers that all tests share, emptied."""
    settings = Settings(mongo_uri=mongo_uri, nats_url=nats_url, redis_url=redis_url, log_format="console")
    return System(settings, bus, tmp_path / "worker.log")


class Stores:
    """MongoDB, NATS and Redis for one test, which may stop and start them; all run at first."""

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
        """Freeze a server: it accepts connections and does not respond."""
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
async def own_system(stores: Stores, tmp_path: Path) -> AsyncIterator[System]:
    """The system on the stores of this test alone."""
    async with open_bus(stores.settings.nats_url, "test") as bus:
        yield System(stores.settings, bus, tmp_path / "worker.log")
