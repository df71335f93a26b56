"""Patches, guards, versions and faults take effect in the service or the store."""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ticketing_chaos import faults
from ticketing_chaos.guards import GUARDS
from ticketing_chaos.versions import Deployment, plan_releases
from ticketing_common.testing.servers import free_port, redis_server, running
from ticketing_local.settings import Settings

SECRETS = dict.fromkeys(
    ["JWT_KEY", "STRIPE_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"], "secret"
)


def run_patched(folder: Path, code: str, *patches: str) -> str:
    """The output of a module that is run with these patches."""
    (folder / "program.py").write_text(code)
    command = [sys.executable, "-P", "-m", "ticketing_chaos.patched", "program", *patches]
    environment = os.environ | {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_clock_of_a_service_is_shifted(tmp_path):
    code = """
import time, jwt
from bson import ObjectId
from ticketing_common.values.clock import now
token = jwt.encode({"exp": now()}, "x" * 32)
print(now().timestamp(), time.time(), ObjectId().generation_time.timestamp())
jwt.decode(jwt.encode({"iat": int(now().timestamp())}, "x" * 32), "x" * 32, ["HS256"])
"""
    for each in run_patched(tmp_path, code, "clock=1000").split():
        assert 990 < float(each) - time.time() < 1010


def test_every_consumer_of_the_version_before_has_one_subject_less(tmp_path):
    code = """
import importlib
from ticketing_chaos.patched import PATCHES
from ticketing_chaos.versions import OPTIONAL_SUBJECTS
for module, subject in OPTIONAL_SUBJECTS.items():
    service = module.partition(".")[0]
    handlers = importlib.import_module(f"{service}.handlers")
    before = len(handlers.HANDLERS)
    PATCHES["without"](subject, service)
    print(service, len(handlers.HANDLERS) - before)
"""
    output = run_patched(tmp_path, code).splitlines()
    assert output == ["tickets -1", "orders -1", "payments -1", "expiration -1"]


@pytest.mark.parametrize("guard", GUARDS)
def test_guard_that_a_negative_control_disables_exists(tmp_path, guard):
    run_patched(tmp_path, "", f"guard={guard}")


def test_replica_runs_the_code_of_its_checkout(tmp_path):
    (tmp_path / "old/orders/src/orders").mkdir(parents=True)
    (tmp_path / "old/orders/src/orders/__init__.py").touch()
    (tmp_path / "old/orders/src/orders/main.py").write_text("print('the old version')")
    (tmp_path / "old/common/src/ticketing_common").mkdir(parents=True)
    (tmp_path / "old/common/src/ticketing_common/__init__.py").touch()
    (tmp_path / "old/common/src/ticketing_common/clock.py").touch()
    deployment = Deployment(None, plan_releases(tmp_path / "old")[0])
    plan = deployment.plan(Settings(data_dir=tmp_path), SECRETS)
    for name in ("orders", "orders-2"):
        spec = next(spec for spec in plan.processes if spec.name == name)
        done = subprocess.run(spec.command, env=spec.environment, capture_output=True, text=True, timeout=30)
        assert done.stdout == "the old version\n", done.stderr


@pytest.mark.parametrize("old", [None, Path("old")])
def test_updates_end_with_one_version_and_some_replica_always_consumes_every_subject(old):
    releases = plan_releases(old)
    assert len(set(releases[-1])) == 1
    for release in releases:
        assert any(version.consumes_all for version in release)


@pytest.mark.parametrize("kind", ["full", "a replica of a server that is gone"])
async def test_redis_answers_and_rejects_writes_for_a_while(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(faults, "_REJECTION", (1.0, 1.0))
    rng = random.Random()
    monkeypatch.setattr(rng, "random", lambda: 0.0 if kind == "full" else 1.0)
    server = redis_server(free_port(), tmp_path)
    with running(server):
        stack: Any = SimpleNamespace(env={"REDIS_URL": server.url})
        context: Any = SimpleNamespace(stack=stack, rng=rng)
        async with Redis.from_url(server.url) as redis:
            await redis.set("kept", "1")
            rejecting = asyncio.create_task(faults.reject_writes(context, "redis"))
            await asyncio.sleep(0.5)
            assert await redis.ping()
            with pytest.raises(RedisError):
                await redis.set("new", "1")
            await rejecting
            await redis.set("new", "1")
            assert await redis.get("kept") == b"1"
