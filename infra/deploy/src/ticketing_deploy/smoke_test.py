"""Smoke-tests images: each runs as its own user with real stores until it is ready, then stops on SIGTERM."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from ticketing_common.testing.servers import (
    Server,
    ServerUnavailable,
    free_port,
    mongod,
    nats_server,
    redis_server,
    running,
)
from ticketing_deploy import engines
from ticketing_deploy.engines import Engine
from ticketing_deploy.images import OPERATIONS, STRIPE_STAND_IN, Image, run

_READY_WITHIN, _STOPPED_WITHIN = 60.0, 15.0  # seconds
_STOPPED = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
_UNREACHABLE = "http://127.0.0.1:9"  # a service calls Stripe or another service only to answer a request
_WORKER = ["python", "-m", "expiration.worker"]
_IMPORT_COMMANDS = """
import importlib, ticketing_operations.__main__ as operations
for module in operations._MODULES.values(): importlib.import_module(module)
"""
_INSPECT = """
test "$(id -u)" = 0 && echo "it runs as root"
for tool in cc gcc make pip pip3; do command -v $tool > /dev/null && echo "it contains $tool"; done
find /app -path "*/ticketing_common/testing" | sed "s/^/it contains /"
test $0 = dev || find /app -writable | sed "s/^/its user can write /"
"""


def run_all(engine: Engine, built: dict[Image, str], target: str) -> int:
    """Print a line for each program. Returns the exit status."""
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        servers = (mongod, nats_server, redis_server)
        mongo, nats, redis = (server(free_port(), Path(folder)) for server in servers)
        urls = {"MONGO_URL": mongo.url, "NATS_URL": nats.url, "REDIS_URL": redis.url}
        with running(mongo), running(nats), running(redis):
            for image, reference in built.items():
                worker = {"expiration, worker": _WORKER} if image.name == "expiration" else {}
                for name, command in {image.name: [], **worker}.items():
                    try:
                        result = _test(engine, image, reference, target, command, urls)
                    except AssertionError as failure:
                        failures += 1
                        result = f"FAILED: {failure}"
                    print(f"{name:<20}{result}", flush=True)
    return 1 if failures else 0


def _test(
    engine: Engine, image: Image, reference: str, target: str, command: list[str], urls: dict[str, str]
) -> str:
    """Returns the result. Raises AssertionError. Without a command, runs the image's own."""
    port = free_port()
    path = "/healthz" if image is STRIPE_STAND_IN else "/readyz"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    entrypoint, default = engines.default_command(engine, reference)
    with engines.container(engine, reference) as container:
        inspect = engines.run_command(engine, reference, container, {})
        if found := run(*inspect, "sh", "-c", _INSPECT, target):
            raise AssertionError(found.splitlines()[0])
        if image is OPERATIONS:
            run(*inspect, "python", "-c", _IMPORT_COMMANDS)
            return "imports its commands"
        start = engines.run_command(engine, reference, container, _environment(image, urls, port))
        command = [*start, *entrypoint, *(command or default)]
        server = Server(reference, command, "", port, request, b" 200 OK")
        started = time.monotonic()
        try:
            with running(server, _READY_WITHIN) as process:
                seconds = time.monotonic() - started
                _stop(engine, process)
        except ServerUnavailable as error:
            output = "\n".join(error.__notes__)
            raise AssertionError(f"it did not answer {path} with 200:\n{output}") from None
        return f"ready after {seconds:.1f} s"


def _environment(image: Image, urls: dict[str, str], port: int) -> dict[str, str]:
    """The variables of all services; each reads its own."""
    return {
        **urls,
        "MONGO_URI": f"{urls['MONGO_URL']}/{image.name}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "JWT_KEY": "signs-only-the-sessions-of-a-smoke-test",
        "STRIPE_KEY": "sk_test_smoke",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_smoke",
        "STRIPE_API_BASE": _UNREACHABLE,
        **{f"{service}_URL": _UNREACHABLE for service in ("AUTH", "TICKETS", "ORDERS", "PAYMENTS")},
        **({"DATA_DIR": "/tmp"} if image is STRIPE_STAND_IN else {"STRIPE_WEBHOOK_SECRET": "whsec_smoke"}),
    }


def _stop(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    try:
        os.kill(engines.main_process(engine, process.pid), signal.SIGTERM)
        status = process.wait(_STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"it did not exit within {_STOPPED_WITHIN:g} s of SIGTERM") from None
    except (ProcessLookupError, FileNotFoundError):
        raise AssertionError("it exited by itself after it was ready") from None
    if status not in _STOPPED:
        raise AssertionError(f"it exited with status {status} after SIGTERM")
