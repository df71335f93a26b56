"""A whole stack with stand-ins for the services: its files, its lock, and what a test can do to it."""

import io
import os
import socket
import stat
import subprocess
from pathlib import Path

import httpx
import pytest

from ticketing_common.testing.servers import free_port, redis_server, running
from ticketing_local.console import Console
from ticketing_local.data_dir import read_env_file
from ticketing_local.errors import StackError
from ticketing_local.seed import seed
from ticketing_local.settings import Settings, load_settings
from ticketing_local.stack import Planner, run_stack
from ticketing_local.testing import running_stack

NAMES = {
    "BASE_URL",
    "AUTH_URL",
    "TICKETS_URL",
    "ORDERS_URL",
    "PAYMENTS_URL",
    "EXPIRATION_URL",
    "WORKER_URL",
    "CLIENT_URL",
    "MONGO_URL",
    "MONGO_URI_AUTH",
    "MONGO_URI_TICKETS",
    "MONGO_URI_ORDERS",
    "MONGO_URI_PAYMENTS",
    "MONGO_URI_EXPIRATION",
    "NATS_URL",
    "REDIS_URL",
    "JWT_KEY",
    "STRIPE_API_BASE",
    "STRIPE_JS",
    "STRIPE_KEY",
    "STRIPE_PUBLISHABLE_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "EXPIRATION_WINDOW_SECONDS",
}


async def status(url: str, timeout: float = 5) -> int:
    async with httpx.AsyncClient(timeout=timeout) as client:
        return (await client.get(url)).status_code


def read_in_a_shell(path: Path) -> str:
    command = ["sh", "-c", f"set -a; . {path}; env"]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout


async def test_stack_env_is_readable_by_its_owner_only_and_removed_at_the_end(
    tmp_path: Path, with_stand_ins: Planner
) -> None:
    async with running_stack(tmp_path, plan=with_stand_ins, expiration_window_seconds=7) as stack:
        path = tmp_path / "stack.env"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert read_env_file(path) == stack.env
        assert stack.env.keys() >= NAMES
        shell = read_in_a_shell(path)
        assert f"MONGO_URI_AUTH={stack.env['MONGO_URL']}/auth\n" in shell
        assert "EXPIRATION_WINDOW_SECONDS=7\n" in shell
        assert await status(stack.base_url) == 200
    assert not path.exists()


async def test_name_of_the_data_folder_may_contain_any_character(
    tmp_path: Path, with_stand_ins: Planner
) -> None:
    folder = tmp_path / """Zoë's data "x" $HOME"""
    async with running_stack(folder, plan=with_stand_ins) as stack:
        assert await status(stack.base_url) == 200


async def test_secrets_are_the_same_after_a_restart(tmp_path: Path, with_stand_ins: Planner) -> None:
    async with running_stack(tmp_path, plan=with_stand_ins) as stack:
        first = stack.env
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    async with running_stack(tmp_path, plan=with_stand_ins) as stack:
        for name in ["JWT_KEY", "STRIPE_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"]:
            assert stack.env[name] == first[name]


async def test_old_stack_env_is_removed_even_if_the_start_fails(
    tmp_path: Path, with_stand_ins: Planner
) -> None:
    (tmp_path / "stack.env").write_text("BASE_URL=http://old.example\n")
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings(port=other.getsockname()[1], data_dir=tmp_path)
        with pytest.raises(StackError):
            async with run_stack(settings, Console(io.StringIO()), restarts=False, plan=with_stand_ins):
                pass
    assert not (tmp_path / "stack.env").exists()


async def test_port_in_use_is_refused_with_what_to_do(tmp_path: Path, with_stand_ins: Planner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = Settings(port=port, data_dir=tmp_path)
        with pytest.raises(StackError, match=f"Port {port} is in use: stop what listens.*PORT=8001 make up"):
            async with run_stack(settings, Console(io.StringIO()), restarts=False, plan=with_stand_ins):
                pass


async def test_second_stack_in_the_same_folder_is_refused_and_the_first_continues(
    tmp_path: Path, with_stand_ins: Planner
) -> None:
    async with running_stack(tmp_path, plan=with_stand_ins) as stack:
        with pytest.raises(StackError, match=rf"Another stack \(process {os.getpid()}\) is using.*DATA_DIR="):
            async with running_stack(tmp_path, plan=with_stand_ins):
                pass
        assert (tmp_path / "stack.env").exists()
        assert await status(stack.base_url) == 200


async def test_two_stacks_run_side_by_side(tmp_path: Path, with_stand_ins: Planner) -> None:
    async with (
        running_stack(tmp_path / "a", plan=with_stand_ins) as a,
        running_stack(tmp_path / "b", plan=with_stand_ins) as b,
    ):
        urls = [url for stack in (a, b) for name, url in stack.env.items() if name.endswith("_URL")]
        assert len(set(urls)) == len(urls)


async def test_process_can_be_killed_started_restarted_paused_and_resumed(
    tmp_path: Path, with_stand_ins: Planner
) -> None:
    async with running_stack(tmp_path, plan=with_stand_ins) as stack:
        url = f"{stack.base_url}/api/orders"
        await stack.kill("orders")
        assert await status(url) == 503
        await stack.start("orders")
        assert await status(url) == 200
        await stack.restart("orders")
        assert await status(url) == 200
        stack.pause("orders")
        with pytest.raises(httpx.ReadTimeout):
            await status(url, timeout=0.5)
        stack.resume("orders")
        assert await status(url) == 200
        with pytest.raises(StackError, match="orders is running already"):
            await stack.start("orders")


async def test_failed_start_reports_the_output_and_leaves_no_stack_env(
    tmp_path: Path, with_stand_ins: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREAK", "orders")
    with pytest.raises(StackError, match="orders ended with exit status 3") as error:
        async with running_stack(tmp_path, plan=with_stand_ins):
            pass
    assert "cannot go on" in str(error.value)
    assert not (tmp_path / "stack.env").exists()


async def test_external_store_is_used_and_not_started(tmp_path: Path, with_stand_ins: Planner) -> None:
    external = redis_server(free_port(), tmp_path / "external")
    settings = Settings(
        port=free_port(),
        data_dir=tmp_path / "stack",
        redis_url=external.url,
        mongo_url="mongodb://me:secret@db.example:27017/?replicaSet=rs",
        nats_url="nats://nats.example:4222",
        stripe_api_base="https://api.stripe.example",
        stripe_key="sk_external",
    )
    screen = io.StringIO()
    with running(external):
        async with run_stack(settings, Console(screen), restarts=False, plan=with_stand_ins) as stack:
            assert stack.env["REDIS_URL"] == external.url
            assert stack.env["STRIPE_KEY"] == "sk_external"
            assert stack.env["MONGO_URI_ORDERS"] == (
                "mongodb://me:secret@db.example:27017/orders?replicaSet=rs&authSource=admin"
            )
            assert {"mongod", "nats", "redis", "stripe"}.isdisjoint(stack.supervisor.names)
    assert f"  redis       external  at {external.url}" in screen.getvalue()
    assert "secret" not in screen.getvalue()


async def test_demo_tickets_are_listed_once(tmp_path: Path, with_stand_ins: Planner) -> None:
    async with running_stack(tmp_path, plan=with_stand_ins, seed=True) as stack:
        log = (tmp_path / "logs" / "tickets.log").read_text()
        assert log.count("POST /api/tickets ") == 12
        assert await seed(stack.base_url) == 0


def test_every_invalid_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("EXPIRATION_WINDOW_SECONDS", "0")
    with pytest.raises(StackError, match=r"PORT: .*integer.*EXPIRATION_WINDOW_SECONDS: .*greater"):
        load_settings()


def test_stripe_key_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_KEY", "sk_test_x")
    with pytest.raises(StackError, match="set both STRIPE_API_BASE and STRIPE_KEY"):
        load_settings()
