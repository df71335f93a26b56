"""The ingress routes requests to the services, and its own errors look like those of a service."""

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
SERVICES = ["auth", "tickets", "orders", "client"]  # payments does not run


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
def client(
    services: dict[str, tuple[int, subprocess.Popen[bytes]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    port = free_port()
    ports = {name: port for name, (port, _) in services.items()} | {"payments": free_port()}
    spec = plan_ingress(port, ports, tmp_path_factory.mktemp("it's a folder"), timeout_seconds=1)
    process = subprocess.Popen(spec.command, env=spec.environment, stderr=subprocess.DEVNULL)
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


def assert_own_error(response: httpx.Response, status: int, message: str) -> None:
    assert response.status_code == status
    assert response.json() == {"errors": [{"message": message}]}
    assert response.headers["Content-Type"] == "application/json"
    assert re.fullmatch(r"\w+", response.headers["X-Request-ID"])


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
def test_path_is_routed_to_its_service_unchanged(client: httpx.Client, path: str, service: str) -> None:
    response = client.get(path)
    assert response.json() == {"service": service, "path": path}


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
def test_path_of_no_service_or_for_the_cluster_only_is_not_found(client: httpx.Client, path: str) -> None:
    assert_own_error(client.get(path), 404, "Not found")
    assert_own_error(client.post(path, json={}), 404, "Not found")


def test_response_of_a_service_passes_unchanged_even_an_error(client: httpx.Client) -> None:
    response = client.post("/api/tickets/refuse", json={})
    assert response.status_code == 418
    assert response.json() == {"errors": [{"message": "the service's message"}]}
    assert response.headers["X-Request-ID"] == "the-service's-own"
    assert "Via" not in response.headers
    assert "Caddy" not in response.headers.get("Server", "")


def test_body_of_64_kib_passes(client: httpx.Client) -> None:
    assert client.post("/api/tickets", content=bytes(65536)).json()["length"] == 65536


def test_body_over_64_kib_is_refused(client: httpx.Client) -> None:
    refused = "The request body is larger than 64 KiB"
    assert_own_error(client.post("/api/tickets", content=bytes(65537)), 413, refused)


def test_chunked_body_over_64_kib_is_refused(client: httpx.Client) -> None:
    chunks = (bytes(1000) for _ in range(66))
    refused = "The request body is larger than 64 KiB"
    assert_own_error(client.post("/api/tickets", content=chunks), 413, refused)


def test_unknown_method_is_not_allowed(client: httpx.Client) -> None:
    assert_own_error(client.request("BREW", "/api/tickets"), 405, "Method not allowed")


def test_malformed_chunks_are_a_bad_request(client: httpx.Client) -> None:
    chunked = "POST /api/tickets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for broken in ["zz\r\nab\r\n", "2\r\n{}XX0\r\n\r\n", "2;" + "a" * 10_000 + "\r\n{}\r\n0\r\n\r\n"]:
        assert statuses_of(client, chunked + broken) == ["400"]


def test_request_after_a_body_with_two_lengths_is_not_answered(client: httpx.Client) -> None:
    both = "POST /api/tickets HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert statuses_of(client, f"{both}0\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n") == ["201"]


def test_requests_inside_a_refused_body_are_not_answered(client: httpx.Client) -> None:
    line = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    for size in (100_000, 1_000_000):
        head = f"POST /api/tickets HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        assert statuses_of(client, head + (line * (size // len(line) + 1))[:size]) == ["413"]


def statuses_of(client: httpx.Client, request: str) -> list[str]:
    """The status of each response until the connection ends or is silent for 1 s."""
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=1) as connection:
        received = b""
        with contextlib.suppress(OSError):
            connection.sendall(request.encode())
        with contextlib.suppress(OSError):
            while more := connection.recv(65536):
                received += more
    return re.findall(r"HTTP/1\.1 (\d{3})", received.decode())


def test_service_that_is_down_is_unavailable(client: httpx.Client) -> None:
    response = client.post("/api/payments", json={})
    assert_own_error(response, 503, UNAVAILABLE)
    assert response.headers["Retry-After"] == "1"


def test_service_that_does_not_respond_in_time_is_unavailable(
    client: httpx.Client, services: dict[str, tuple[int, subprocess.Popen[bytes]]]
) -> None:
    _, orders = services["orders"]
    freeze(orders)
    try:
        response = client.get("/api/orders")
    finally:
        orders.send_signal(signal.SIGCONT)
    assert_own_error(response, 503, UNAVAILABLE)
    assert response.headers["Retry-After"] == "1"


def test_events_pass_without_delay(client: httpx.Client) -> None:
    started_at = time.monotonic()
    with client.stream("GET", "/api/tickets/events") as response:
        assert next(response.iter_lines()) == "data: first"
    assert time.monotonic() - started_at < 2  # the stand-in holds the stream open for 3 s


def test_it_accepts_connections_from_this_machine_only(client: httpx.Client) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", client.base_url.port or 0), timeout=1)
