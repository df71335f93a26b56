"""What the saboteur does is really done: to the clock, the version and the store of a service."""

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ticketing_chaos import deeds
from ticketing_chaos.versions import Fleet, stages
from ticketing_common.testing.servers import free_port, redis_server, running
from ticketing_local.settings import Settings

SECRETS = dict.fromkeys(
    ["JWT_KEY", "STRIPE_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"], "secret"
)


def run_altered(folder: Path, code: str, *changes: str) -> str:
    """What a module says that is run with these changes."""
    (folder / "said.py").write_text(code)
    command = [sys.executable, "-P", "-m", "ticketing_chaos.altered", "said", *changes]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


def test_a_service_s_clock_can_be_shifted(tmp_path):
    code = """
import time, jwt
from bson import ObjectId
from ticketing_common.clock import now
token = jwt.encode({"exp": now()}, "x" * 32)
print(now().timestamp(), time.time(), ObjectId().generation_time.timestamp())
jwt.decode(jwt.encode({"iat": int(now().timestamp())}, "x" * 32), "x" * 32, ["HS256"])
"""
    shifted = [float(each) for each in run_altered(tmp_path, code, "clock=1000").split()]
    for each in shifted:
        assert 990 < each - time.time() < 1010


def test_every_service_that_follows_events_can_follow_one_subject_less_or_more(tmp_path):
    code = """
import importlib
from ticketing_chaos.altered import CHANGES
for service in ("tickets", "orders", "payments", "expiration"):
    handlers = importlib.import_module(f"{service}.handlers")
    plain = handlers.HANDLERS
    for change in ("less", "more"):
        handlers.HANDLERS = plain
        CHANGES["subjects"](change, service)
        print(len(handlers.HANDLERS) - len(plain))
"""
    assert run_altered(tmp_path, code).split() == ["-1", "1"] * 4


def test_a_replica_runs_the_code_of_the_checkout_that_it_is_to_run(tmp_path):
    (tmp_path / "old/orders/src/orders").mkdir(parents=True)
    (tmp_path / "old/orders/src/orders/__init__.py").touch()
    (tmp_path / "old/orders/src/orders/main.py").write_text("print('the old version')")
    fleet = Fleet(None, stages(tmp_path / "old")[0])
    plan = fleet.plan(Settings(data_dir=tmp_path), SECRETS)
    for name in ("orders", "orders-2"):
        part = next(part for part in plan.parts if part.name == name)
        said = subprocess.run(part.command, env=part.environment, capture_output=True, text=True, timeout=30)
        assert said.stdout == "the old version\n", said.stderr


@pytest.mark.parametrize("old", [None, Path("old")])
def test_a_rolling_update_ends_with_one_version_and_never_leaves_a_subject_unfollowed(old):
    all_stages = stages(old)
    assert len(set(all_stages[-1])) == 1
    for stage in all_stages:
        assert any(version.subjects != "less" for version in stage)


@pytest.mark.parametrize("kind", ["full", "a replica of a server that is gone"])
async def test_redis_answers_and_refuses_writes_for_a_while(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(deeds, "_REFUSAL", (1.0, 1.0))
    chance = random.Random()
    monkeypatch.setattr(chance, "random", lambda: 0.0 if kind == "full" else 1.0)
    server = redis_server(free_port(), tmp_path)
    with running(server):
        scene = SimpleNamespace(stack=SimpleNamespace(env={"REDIS_URL": server.url}), chance=chance)
        async with Redis.from_url(server.url) as redis:
            await redis.set("kept", "1")
            refusing = asyncio.create_task(deeds.refuse_writes(scene, "redis"))
            await asyncio.sleep(0.5)
            assert await redis.ping()
            with pytest.raises(RedisError):
                await redis.set("new", "1")
            await refusing
            await redis.set("new", "1")
            assert await redis.get("kept") == b"1"
