"""Two replicas of each service behind the ingress: how requests are shared, and what a lost replica costs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ticketing_local.plan import Plan
from ticketing_local.replicas import replicate
from ticketing_local.settings import Settings
from ticketing_local.stack import Planner, Stack
from ticketing_local.testing import running_stack


@pytest.fixture
async def stack(tmp_path: Path, with_stand_ins: Planner) -> AsyncIterator[Stack]:
    def plan(settings: Settings, secrets: dict[str, str]) -> Plan:
        return replicate(with_stand_ins(settings, secrets), 2)

    async with running_stack(tmp_path, plan=plan) as stack:
        yield stack


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=5, trust_env=False) as client:
        yield client


def requests_at(stack: Stack, part: str, method: str = "POST") -> int:
    return stack.supervisor.log_of(part).read_text().count(f'"{method} /api/orders ')


async def test_replicas_share_the_requests(stack: Stack, client: httpx.AsyncClient) -> None:
    for _ in range(20):
        assert (await client.post("/api/orders", json={})).status_code == 201
    assert [requests_at(stack, part) for part in ("orders", "orders-2")] == [10, 10]


async def test_a_killed_replica_causes_no_errors(stack: Stack, client: httpx.AsyncClient) -> None:
    await stack.kill("orders")
    for _ in range(20):
        assert (await client.get("/api/orders")).status_code == 200
        assert (await client.post("/api/orders", json={})).status_code == 201


async def test_a_request_that_a_replica_may_have_done_is_not_repeated_at_another(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    stack.pause("orders")
    requests = [asyncio.create_task(client.post("/api/orders", json={})) for _ in range(2)]
    await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
    await stack.kill("orders")
    assert sorted([(await request).status_code for request in requests]) == [201, 503]
    assert requests_at(stack, "orders-2") == 1


async def test_a_replica_that_does_not_answer_gets_no_requests_after_a_while(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    stack.pause("orders")
    async with asyncio.timeout(10):
        # A health check every second; two good answers in a row without a wait are no accident.
        while await slow(client) or await slow(client):
            pass
    for _ in range(10):
        assert (await client.post("/api/orders", json={})).status_code == 201


async def slow(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/api/orders", timeout=1)).status_code != 200
    except httpx.ReadTimeout:
        return True


async def test_requests_wait_for_a_replica_while_all_are_restarted(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    await stack.kill("orders")
    await stack.kill("orders-2")
    request = asyncio.create_task(client.post("/api/orders", json={}))
    await asyncio.gather(stack.start("orders"), stack.start("orders-2"))
    assert (await request).status_code == 201


async def test_a_site_asks_the_replicas_of_its_own_number(tmp_path: Path, with_stand_ins: Planner) -> None:
    settings = Settings(data_dir=tmp_path)
    secrets = dict.fromkeys(
        ["JWT_KEY", "STRIPE_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"], "secret"
    )
    plan = replicate(with_stand_ins(settings, secrets), 2)
    second = next(part for part in plan.parts if part.name == "client-2")
    assert second.environment["ORDERS_URL"] == f"http://127.0.0.1:{plan.ports['orders-2']}"


async def test_a_part_can_be_replaced_by_another_version_of_it(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    for name in ("orders", "orders-2"):
        old = stack.supervisor.part(name)
        await stack.replace(replace(old, environment={**old.environment, "MONGO_URI": "the new version"}))
    assert (await client.get("/api/orders")).json()["who"] == "the new version"
