"""A sale continues when one of three members of MongoDB or of NATS is lost.

The members run with the configuration of the manifests; only addresses and ports differ.
"""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from api_calls import (
    list_ticket,
    post_order,
    post_payment,
    retry_while_unavailable,
    wait_for_order_status,
    wait_for_reservation,
)
from nats.js.api import ConsumerConfig, DeliverPolicy
from pymongo import MongoClient
from stack_under_test import StackUnderTest, running_stack_under_test

from ticketing_common.messaging.bus import STREAM, Bus, open_bus
from ticketing_common.testing import wait_until
from ticketing_common.testing.replica_set import initiate, member
from ticketing_common.testing.servers import Server, find_binary, free_port, nats_server, running
from ticketing_local.plan import Plan, plan_stack
from ticketing_local.settings import Settings

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.nightly]

INFRA = Path(__file__).parents[1]
NATS_CONF = [INFRA / "k8s/stores/nats/nats.conf", INFRA / "k8s-prod/cluster.conf"]
MAX_BYTES = 52_000_000_000
"""As in production. The servers reserve it when the stream is created."""


@dataclass
class Members:
    """Three servers of one store."""

    servers: list[Server]
    processes: list[subprocess.Popen[bytes]]
    url: str

    def kill(self, index: int) -> None:
        self.processes[index].kill()
        self.processes[index].wait()


@pytest.fixture(scope="module")
def mongo(tmp_path_factory) -> Iterator[Members]:
    servers = [member(free_port(), tmp_path_factory.mktemp(f"mongo-{n}")) for n in range(3)]
    with ExitStack() as stack:
        processes = [stack.enter_context(running(server)) for server in servers]
        # The default of 10 s would only make the test longer.
        url = initiate(servers, electionTimeoutMillis=2_000)
        yield (members := Members(servers, processes, url))
        for n in range(3):
            members.kill(n)  # on SIGTERM a member would continue for 15 seconds


@pytest.fixture(scope="module")
def nats(tmp_path_factory) -> Iterator[Members]:
    ports = [free_port() for _ in range(3)]
    servers = []
    for n, route_port in enumerate(ports):
        folder = tmp_path_factory.mktemp(f"nats-{n}")
        server = nats_server(free_port(), folder)
        files = {path.name: path.read_text() for path in NATS_CONF}
        for old, new in [
            ("port: 4222", f'listen: "127.0.0.1:{server.port}"'),
            ("http_port: 8222\n", ""),
            ("/tmp/nats.pid", str(folder / "pid")),
            ("store_dir: /data", f'store_dir: "{folder}"'),
            ("port: 6222", f'listen: "127.0.0.1:{route_port}"'),
            *((f"nats-{i}.nats-members:6222", f"127.0.0.1:{port}") for i, port in enumerate(ports)),
        ]:
            assert any(old in text for text in files.values()), old
            files = {name: text.replace(old, new) for name, text in files.items()}
        for name, text in files.items():
            (folder / name).write_text(text)
        command = [find_binary("nats-server"), "--config", str(folder / "nats.conf"), "--name", f"nats-{n}"]
        servers.append(replace(server, command=command))
    with ExitStack() as stack:
        processes = [stack.enter_context(running(server)) for server in servers]
        yield Members(servers, processes, servers[0].url)  # clients learn the other addresses from it


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def stack(tmp_path_factory, mongo, nats) -> AsyncIterator[StackUnderTest]:
    def plan(settings: Settings, secrets: dict[str, str]) -> Plan:
        external_stores = {"mongo_url": mongo.url, "nats_url": nats.url}
        return plan_stack(settings.model_copy(update=external_stores), secrets)

    async with running_stack_under_test(
        tmp_path_factory.mktemp("stack"),
        payment_window=60,  # longer than the election of a primary or a leader
        environment={"NATS_REPLICAS": "3", "NATS_MAX_BYTES": str(MAX_BYTES)},
        plan=plan,
    ) as stack:
        yield stack


async def test_stream_has_three_replicas(stack, nats):
    async with open_bus(nats.url, "test", replicas=3, max_bytes=MAX_BYTES) as bus:
        config = (await bus.stream_info()).config
        assert (config.num_replicas, config.max_bytes) == (3, MAX_BYTES)


async def reserve_ticket(stack: StackUnderTest) -> tuple[httpx.AsyncClient, str, str]:
    """Returns the buyer, the ticket's id and the order's id once payments has consumed the order's event."""
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    ticket_id = await list_ticket(seller)
    await wait_until(lambda: stack.database("orders")["tickets"].find_one({"_id": ticket_id}), 20)
    response = await retry_while_unavailable(lambda: post_order(buyer, ticket_id))
    assert response.status_code == 201, response.text
    order_id = response.json()["id"]
    await wait_until(lambda: stack.database("payments")["payments"].find_one({"order_id": order_id}), 20)
    return buyer, ticket_id, order_id


async def create_consumer_with_another_leader(bus: Bus, leader: str) -> str:
    """Returns the name of a consumer without pending events that is not led by the stream's leader."""
    for n in range(20):
        config = ConsumerConfig(durable_name=f"consumer-{n}", deliver_policy=DeliverPolicy.NEW)
        consumer = await bus.js.add_consumer(str(STREAM.name), config)
        if consumer.cluster and consumer.cluster.leader != leader:
            return consumer.name
    raise AssertionError("every consumer has the stream's leader")


async def test_sale_continues_after_the_loss_of_the_streams_leader(stack, nats):
    buyer, ticket_id, order_id = await reserve_ticket(stack)
    async with open_bus(nats.url, "test", replicas=3, max_bytes=MAX_BYTES) as bus:
        cluster = (await bus.js.stream_info(str(STREAM.name))).cluster
        assert cluster is not None
        assert cluster.leader is not None
        consumer = await create_consumer_with_another_leader(bus, cluster.leader)
    index = int(cluster.leader.removeprefix("nats-"))
    async with open_bus(nats.servers[index - 1].url, consumer, replicas=3, max_bytes=MAX_BYTES) as bus:
        assert not await bus.is_behind()
        nats.kill(index)
        await asyncio.sleep(0.6)  # is_behind caches its result for half a second
        # The consumer has no pending events, but without a leader the stream accepts none.
        assert await bus.is_behind()
    response = await retry_while_unavailable(lambda: post_payment(buyer, order_id))
    assert response.status_code == 201
    await wait_for_order_status(buyer, order_id, "complete", seconds=15)
    await wait_for_reservation(buyer, ticket_id, order_id)


async def test_sale_continues_after_the_loss_of_the_primary(stack, mongo):
    buyer, ticket_id, order_id = await reserve_ticket(stack)
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongo.url) as client:
        client.admin.command("ping")
        assert client.primary is not None
        _host, port = client.primary
    mongo.kill([server.port for server in mongo.servers].index(port))
    started = time.monotonic()
    response = await retry_while_unavailable(lambda: post_payment(buyer, order_id), seconds=40)
    assert response.status_code == 201
    assert time.monotonic() - started < 30
    await wait_for_order_status(buyer, order_id, "complete", seconds=15)
    await wait_for_reservation(buyer, ticket_id, order_id)
