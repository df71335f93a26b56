"""The pytest fixture `stripe_api`: the real server in its own process, started once per test session."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

KEY = "sk_test_standin0123456789"
PUBLISHABLE_KEY = "pk_test_standin0123456789"
_START_TIMEOUT = 15.0
"""Seconds; long enough for a loaded machine."""


@dataclass(frozen=True)
class StripeApi:
    """A running stand-in. A client takes `url` as its base address and `key` as its secret key.

    A page loads `script` in place of Stripe.js, with the `publishable_key`.
    """

    url: str
    key: str
    publishable_key: str
    data_dir: Path
    process: subprocess.Popen[bytes]

    @property
    def script(self) -> str:
        return f"{self.url}/v3/"

    def add_fault(self, **rule: Any) -> None:
        """Adds a fault; its fields are those of `POST /_faults`."""
        self._call("POST", "/_faults", json.dumps(rule))

    def count_struck_calls(self) -> int:
        """How many calls the current faults have struck."""
        return sum(rule["struck"] for rule in self._call("GET", "/_faults")["data"])

    def clear_faults(self) -> None:
        """Removes all faults."""
        self._call("DELETE", "/_faults")

    def set_delivery(self, **settings: Any) -> None:
        """Changes how events are delivered; the fields are those of `POST /_webhooks`."""
        self._call("POST", "/_webhooks", json.dumps(settings))

    def authenticate(self, client_secret: str, *, success: bool = True) -> Any:
        """Does what the buyer does at the bank, and returns the intent."""
        intent_id = client_secret.partition("_secret_")[0]
        form = urlencode({"client_secret": client_secret, "success": str(success).lower()})
        return self._call("POST", f"/v1/payment_intents/{intent_id}/_authenticate", form)

    def _call(self, method: str, path: str, body: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        data = body.encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running(
    data_dir: Path, *, webhook_url: str | None = None, webhook_secret: str | None = None
) -> Iterator[StripeApi]:
    """Runs the server on a free port, with its state and log in `data_dir`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    settings = {
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "DATA_DIR": str(data_dir),
        "STRIPE_KEY": KEY,
        "STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "LOG_LEVEL": "info",
        "WEBHOOK_URL": webhook_url or "",
        "STRIPE_WEBHOOK_SECRET": webhook_secret or "",
    }
    command = [sys.executable, "-m", "stripe_stand_in.main"]
    with open(data_dir / "server.log", "ab") as output:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=output, stderr=output)
    api = StripeApi(f"http://127.0.0.1:{port}", KEY, PUBLISHABLE_KEY, data_dir, process)
    try:
        _wait_until_ready(api)
        yield api
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def stripe_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeApi]:
    with running(tmp_path_factory.mktemp("stripe")) as api:
        yield api


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(api: StripeApi) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and api.process.poll() is None:
        try:
            urllib.request.urlopen(f"{api.url}/healthz", timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    log = (api.data_dir / "server.log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the Stripe stand-in did not start:\n{log}")
