"""The ingress: what it routes, what it does not, and that its own errors look like a service's."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ticketing_common.testing.servers import free_port, freeze
from ticketing_local.ingress import plan_ingress

UNAVAILABLE = "The service is not available at the moment, please try again"
SERVICES = ["auth", "tickets", "orders", "client"]  # payments is down


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, tuple[int, subprocess.Popen[bytes]]]]:
    running = {}
    for name in SERVICES:
        port = free_port()
        environment = {**os.environ, "PORT": str(port), "MONGO_URI": name}
        command = [sys.executable, "-S", str(Path(__file__).with_name("stand_in.py"))]
        running[name] = (port, subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
    yield running
    for _, process in running.values():
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def market(
    services: dict[str, tuple[int, subprocess.Popen[bytes]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    port = free_port()
    ports = {name: port for name, (port, _) in services.items()} | {"payments": free_port()}
    part = plan_ingress(port, ports, tmp_path_factory.mktemp("it's a folder"), timeout_seconds=1)
    process = subprocess.Popen(part.command, env=part.environment, stderr=subprocess.DEVNULL)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        deadline = time.monotonic() + 10
        for path in ["/", "/api/users", "/api/tickets", "/api/orders"]:
            while not _is_up(client, path):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield client
    process.terminate()
    process.wait()


def _is_up(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).is_success
    except httpx.TransportError:
        return False


def assert_own_error(answer: httpx.Response, status: int, message: str) -> None:
    assert answer.status_code == status
    assert answer.json() == {"errors": [{"message": message}]}
    assert answer.headers["Content-Type"] == "application/json"
    assert re.fullmatch(r"\w+", answer.headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/api/users", "auth"),
        ("/api/users/currentuser", "auth"),
        ("/api/tickets", "tickets"),
        ("/api/tickets/", "tickets"),
        ("/api/tickets?q=a%20b&limit=2", "tickets"),
        ("/api/tickets/a%2Fb/c", "tickets"),
        ("/api/orders", "orders"),
        ("/api/orders/1/refund", "orders"),
        ("/", "client"),
        ("/?q=opera", "client"),
        ("/orders/1", "client"),
        ("/x", "client"),
    ],
)
def test_a_path_goes_to_its_service_as_it_is(market: httpx.Client, path: str, service: str) -> None:
    answer = market.get(path)
    assert answer.json() == {"who": service, "path": path}


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/ticketsfoo",
        "/api/tickets.json",
        "/healthz",
        "/readyz",
        "/metrics",
    ],
)
def test_what_is_for_the_cluster_and_no_service_s_is_unknown(market: httpx.Client, path: str) -> None:
    assert_own_error(market.get(path), 404, "Not found")
    assert_own_error(market.post(path, json={}), 404, "Not found")


def test_what_a_service_answers_passes_untouched_its_errors_too(market: httpx.Client) -> None:
    answer = market.post("/api/tickets/refuse", json={})
    assert answer.status_code == 418
    assert answer.json() == {"errors": [{"message": "my own words"}]}
    assert answer.headers["X-Request-ID"] == "the-service's-own"
    assert "Via" not in answer.headers
    assert "Caddy" not in answer.headers.get("Server", "")


def test_a_body_of_64_kib_passes(market: httpx.Client) -> None:
    assert market.post("/api/tickets", content=bytes(65536)).json()["length"] == 65536


def test_a_body_over_64_kib_does_not(market: httpx.Client) -> None:
    refused = "The request body is larger than 64 KiB"
    assert_own_error(market.post("/api/tickets", content=bytes(65537)), 413, refused)


def test_nor_does_one_that_does_not_say_its_length(market: httpx.Client) -> None:
    chunks = (bytes(1000) for _ in range(66))
    refused = "The request body is larger than 64 KiB"
    assert_own_error(market.post("/api/tickets", content=chunks), 413, refused)


def test_a_method_that_nobody_knows_is_not_allowed(market: httpx.Client) -> None:
    assert_own_error(market.request("BREW", "/api/tickets"), 405, "Method not allowed")


def test_chunks_that_are_none_are_the_client_s_fault(market: httpx.Client) -> None:
    chunked = "POST /api/tickets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for broken in ["zz\r\nab\r\n", "2\r\n{}XX0\r\n\r\n", "2;" + "a" * 10_000 + "\r\n{}\r\n0\r\n\r\n"]:
        assert statuses(market, chunked + broken) == ["400"]


def test_a_request_that_follows_a_body_of_two_lengths_is_not_answered(market: httpx.Client) -> None:
    both = "POST /api/tickets HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert statuses(market, f"{both}0\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n") == ["201"]


def test_nor_is_what_is_in_a_body_that_is_refused(market: httpx.Client) -> None:
    line = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    for size in (100_000, 1_000_000):
        head = f"POST /api/tickets HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        assert statuses(market, head + (line * (size // len(line) + 1))[:size]) == ["413"]


def statuses(market: httpx.Client, request: str) -> list[str]:
    """The status of each answer, until the connection ends or nothing comes for a while."""
    with socket.create_connection(("127.0.0.1", market.base_url.port or 0), timeout=1) as client:
        said = b""
        with contextlib.suppress(OSError):
            client.sendall(request.encode())
        with contextlib.suppress(OSError):
            while more := client.recv(65536):
                said += more
    return re.findall(r"HTTP/1\.1 (\d{3})", said.decode())


def test_a_service_that_is_down_is_unavailable(market: httpx.Client) -> None:
    answer = market.post("/api/payments", json={})
    assert_own_error(answer, 503, UNAVAILABLE)
    assert answer.headers["Retry-After"] == "1"


def test_a_service_that_hangs_is_unavailable(
    market: httpx.Client, services: dict[str, tuple[int, subprocess.Popen[bytes]]]
) -> None:
    _, orders = services["orders"]
    freeze(orders)
    try:
        answer = market.get("/api/orders")
    finally:
        orders.send_signal(signal.SIGCONT)
    assert_own_error(answer, 503, UNAVAILABLE)
    assert answer.headers["Retry-After"] == "1"


def test_events_pass_as_they_come(market: httpx.Client) -> None:
    began = time.monotonic()
    with market.stream("GET", "/api/tickets/events") as answer:
        assert next(answer.iter_lines()) == "data: first"
    assert time.monotonic() - began < 2  # the stand-in holds the stream open for 3 s


def test_it_listens_on_this_machine_only(market: httpx.Client) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", market.base_url.port or 0), timeout=1)
