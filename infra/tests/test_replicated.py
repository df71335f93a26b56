"""The stores as production has them, three of each: one is lost in the middle of a sale, which goes on.

The configuration is that of the manifests, but for addresses and ports.
"""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from market import Market, listed, order, pay, until_accepted, until_held, until_status
from nats.js.api import ConsumerConfig, DeliverPolicy
from pymongo import MongoClient

from ticketing_common.messaging.bus import STREAM, Bus, open_bus
from ticketing_common.testing import wait_until
from ticketing_common.testing.replica_set import initiate, member
from ticketing_common.testing.servers import Server, find_binary, free_port, nats_server, running
from ticketing_local.plan import Plan, plan_parts
from ticketing_local.settings import Settings
from ticketing_local.testing import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

INFRA = Path(__file__).parents[1]
NATS_CONF = [INFRA / "k8s/stores/nats/nats.conf", INFRA / "k8s-prod/cluster.conf"]
MAX_BYTES = 52_000_000_000  # the servers reserve it when the stream is created
AS_IN_PRODUCTION = {"NATS_REPLICAS": "3", "NATS_MAX_BYTES": str(MAX_BYTES)}


@dataclass
class Replicated:
    """Three servers of one store, each with its process."""

    servers: list[Server]
    processes: list[subprocess.Popen[bytes]]
    url: str

    def kill(self, index: int) -> None:
        self.processes[index].kill()
        self.processes[index].wait()


@pytest.fixture(scope="module")
def mongos(tmp_path_factory) -> Iterator[Replicated]:
    servers = [member(free_port(), tmp_path_factory.mktemp(f"mongo-{n}")) for n in range(3)]
    with ExitStack() as stack:
        processes = [stack.enter_context(running(server)) for server in servers]
        # Of 10,000: the test need not wait so long.
        url = initiate(servers, electionTimeoutMillis=2_000)
        yield (found := Replicated(servers, processes, url))
        for n in range(3):
            found.kill(n)  # a member that is told to stop serves on for 15 seconds


@pytest.fixture(scope="module")
def nats(tmp_path_factory) -> Iterator[Replicated]:
    ports = [free_port() for _ in range(3)]
    servers = []
    for n, members_port in enumerate(ports):
        folder = tmp_path_factory.mktemp(f"nats-{n}")
        one = nats_server(free_port(), folder)
        files = {path.name: path.read_text() for path in NATS_CONF}
        for old, new in [
            ("port: 4222", f'listen: "127.0.0.1:{one.port}"'),
            ("http_port: 8222\n", ""),
            ("/tmp/nats.pid", str(folder / "pid")),
            ("store_dir: /data", f'store_dir: "{folder}"'),
            ("port: 6222", f'listen: "127.0.0.1:{members_port}"'),
            *((f"nats-{i}.nats-members:6222", f"127.0.0.1:{port}") for i, port in enumerate(ports)),
        ]:
            assert any(old in text for text in files.values()), old
            files = {name: text.replace(old, new) for name, text in files.items()}
        for name, text in files.items():
            (folder / name).write_text(text)
        command = [find_binary("nats-server"), "--config", str(folder / "nats.conf"), "--name", f"nats-{n}"]
        servers.append(replace(one, command=command))
    with ExitStack() as stack:
        processes = [stack.enter_context(running(server)) for server in servers]
        yield Replicated(servers, processes, servers[0].url)  # which tells of the others


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(tmp_path_factory, mongos, nats) -> AsyncIterator[Market]:
    def plan(settings: Settings, secrets: dict[str, str]) -> Plan:
        elsewhere = settings.model_copy(update={"mongo_url": mongos.url, "nats_url": nats.url})
        planned = plan_parts(elsewhere, secrets)
        parts = [
            replace(part, environment={**part.environment, **AS_IN_PRODUCTION}) for part in planned.parts
        ]
        return replace(planned, parts=parts)

    folder = tmp_path_factory.mktemp("market")
    # Longer than a sale may wait for stores here.
    async with running_stack(folder, expiration_window_seconds=60, plan=plan) as stack:
        market = Market(stack)
        yield market
        await market.check_books()
        await market.close()


async def test_the_stream_is_kept_by_three_servers(market, nats):
    async with open_bus(nats.url, "test", replicas=3, max_bytes=MAX_BYTES) as bus:
        config = (await bus.stream_info()).config
        assert (config.num_replicas, config.max_bytes) == (3, MAX_BYTES)


async def ordered_and_heard_of(market: Market) -> tuple[httpx.AsyncClient, str, str]:
    """A buyer, a ticket and its order; what a service has not heard of yet is 404 to it, after a while."""
    seller, buyer = await market.person(), await market.person()
    ticket_id = await listed(seller)
    await wait_until(lambda: market.database("orders")["tickets"].find_one({"_id": ticket_id}), 20)
    answer = await until_accepted(lambda: order(buyer, ticket_id))
    assert answer.status_code == 201, answer.text
    order_id = answer.json()["id"]
    await wait_until(lambda: market.database("payments")["payments"].find_one({"order_id": order_id}), 20)
    return buyer, ticket_id, order_id


async def consumer_led_elsewhere(bus: Bus, leader: str) -> str:
    """The name of a consumer that has heard everything, and whose leader is another than the stream's."""
    for n in range(20):
        config = ConsumerConfig(durable_name=f"onlooker-{n}", deliver_policy=DeliverPolicy.NEW)
        consumer = await bus.js.add_consumer(str(STREAM.name), config)
        if consumer.cluster and consumer.cluster.leader != leader:
            return consumer.name
    raise AssertionError("each consumer has the stream's own leader")


async def test_a_sale_outlives_the_loss_of_the_server_that_leads_the_stream(market, nats):
    buyer, ticket_id, order_id = await ordered_and_heard_of(market)
    async with open_bus(nats.url, "test", replicas=3, max_bytes=MAX_BYTES) as bus:
        leader = (await bus.js.stream_info(str(STREAM.name))).cluster.leader
        listener = await consumer_led_elsewhere(bus, leader)
    led = int(leader.removeprefix("nats-"))
    async with open_bus(nats.servers[led - 1].url, listener, replicas=3, max_bytes=MAX_BYTES) as bus:
        assert not await bus.is_behind()
        nats.kill(led)
        await asyncio.sleep(0.6)  # the state asked for above is used for half a second
        # Nothing waits for the listener, but nothing could: the stream takes nothing in.
        assert await bus.is_behind()
    assert (await until_accepted(lambda: pay(buyer, order_id))).status_code == 201
    await until_status(buyer, order_id, "complete", seconds=15)
    await until_held(buyer, ticket_id, order_id)


async def test_a_sale_outlives_the_loss_of_a_primary(market, mongos):
    buyer, ticket_id, order_id = await ordered_and_heard_of(market)
    with MongoClient(mongos.url) as client:
        client.admin.command("ping")
        _host, port = client.primary
    mongos.kill([server.port for server in mongos.servers].index(port))
    began = time.monotonic()
    assert (await until_accepted(lambda: pay(buyer, order_id), seconds=40)).status_code == 201
    assert time.monotonic() - began < 30
    await until_status(buyer, order_id, "complete", seconds=15)
    await until_held(buyer, ticket_id, order_id)
