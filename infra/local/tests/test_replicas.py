"""The ingress shares requests between two replicas of each service, and handles the loss of one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ticketing_local.plan import Plan
from ticketing_local.process import ProcessSpec
from ticketing_local.replicas import replicate
from ticketing_local.settings import Settings
from ticketing_local.stack import Planner, Stack
from ticketing_local.testing import running_stack


@pytest.fixture
def specs() -> dict[str, ProcessSpec]:
    """What each process of `stack` runs, by name."""
    return {}


@pytest.fixture
async def stack(
    tmp_path: Path, with_stand_ins: Planner, specs: dict[str, ProcessSpec]
) -> AsyncIterator[Stack]:
    def plan(settings: Settings, secrets: dict[str, str]) -> Plan:
        plan = replicate(with_stand_ins(settings, secrets), 2)
        specs.update({spec.name: spec for spec in plan.processes})
        return plan

    async with running_stack(tmp_path, plan=plan) as stack:
        yield stack


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=5, trust_env=False) as client:
        yield client


def count_requests(stack: Stack, name: str, method: str = "POST") -> int:
    return stack.supervisor.log_of(name).read_text().count(f'"{method} /api/orders ')


async def test_replicas_share_requests_equally(stack: Stack, client: httpx.AsyncClient) -> None:
    for _ in range(20):
        assert (await client.post("/api/orders", json={})).status_code == 201
    assert [count_requests(stack, name) for name in ("orders", "orders-2")] == [10, 10]


async def test_killed_replica_causes_no_errors(stack: Stack, client: httpx.AsyncClient) -> None:
    await stack.kill("orders")
    for _ in range(20):
        assert (await client.get("/api/orders")).status_code == 200
        assert (await client.post("/api/orders", json={})).status_code == 201


async def test_request_that_a_replica_may_have_handled_is_not_retried_at_another(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    stack.pause("orders")
    requests = [asyncio.create_task(client.post("/api/orders", json={})) for _ in range(2)]
    await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
    await stack.kill("orders")
    assert sorted([(await request).status_code for request in requests]) == [201, 503]
    assert count_requests(stack, "orders-2") == 1


async def test_replica_that_does_not_answer_gets_no_requests_after_a_while(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    stack.pause("orders")
    async with asyncio.timeout(10):
        # Round robin: after two quick answers in a row, only the healthy replica gets requests.
        while await is_slow(client) or await is_slow(client):
            pass
    for _ in range(10):
        assert (await client.post("/api/orders", json={})).status_code == 201


async def is_slow(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/api/orders", timeout=1)).status_code != 200
    except httpx.ReadTimeout:
        return True


async def test_request_waits_while_all_replicas_restart(stack: Stack, client: httpx.AsyncClient) -> None:
    await stack.kill("orders")
    await stack.kill("orders-2")
    request = asyncio.create_task(client.post("/api/orders", json={}))
    await asyncio.gather(stack.start("orders"), stack.start("orders-2"))
    assert (await request).status_code == 201


async def test_second_web_site_calls_the_second_replica_of_each_service(
    tmp_path: Path, with_stand_ins: Planner
) -> None:
    settings = Settings(data_dir=tmp_path)
    secrets = dict.fromkeys(
        ["JWT_KEY", "STRIPE_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"], "secret"
    )
    plan = replicate(with_stand_ins(settings, secrets), 2)
    second = next(spec for spec in plan.processes if spec.name == "client-2")
    assert second.environment["ORDERS_URL"] == f"http://127.0.0.1:{plan.ports['orders-2']}"


async def test_process_can_be_replaced_by_another_version(
    stack: Stack, client: httpx.AsyncClient, specs: dict[str, ProcessSpec]
) -> None:
    for name in ("orders", "orders-2"):
        environment = {**specs[name].environment, "MONGO_URI": "the new version"}
        await stack.replace(replace(specs[name], environment=environment))
    assert (await client.get("/api/orders")).json()["service"] == "the new version"
