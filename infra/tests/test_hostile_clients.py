"""The stack rejects slow, large, numerous and malformed requests, serves others meanwhile and leaks nothing.

The HTTP servers of Go and of uvicorn reject some requests in plain text before the ingress or the app handles
them, such as an invalid request line, two Content-Lengths or a header of a megabyte. All other responses have
the contract's form.
"""

import asyncio
import contextlib
import json
import os
import re
import resource
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from api_calls import list_ticket, post_order
from hostile_requests import AMBIGUOUS, INVALID_JSON, MALFORMED, SMUGGLED, UNUSUAL_JSON, post
from stack_under_test import StackUnderTest

from ticketing_common.testing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="package")

PROCESSES = ["caddy", "auth.main", "tickets.main", "orders.main", "payments_with_failpoints", "client.main"]
"""Parts of their command lines."""
PLAIN_TEXT_STATUSES = {400, 417, 431, 501, 505}
TIMEOUT = 15
"""Seconds after which the ingress closes the connection of a slow client."""
Response = tuple[int, bytes]
"""Status and body."""


@pytest.fixture(scope="module", autouse=True)
def _raise_open_file_limit() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest_asyncio.fixture(scope="module", autouse=True, loop_scope="package")
async def _check_open_files(stack) -> AsyncIterator[None]:
    """At the end, every process has about as many open files as at the beginning."""
    await check_ingress_responds(stack)
    before = {name: count_open_files(name) for name in PROCESSES}
    yield
    await stack.close_clients()

    async def are_closed() -> bool:
        return all(count_open_files(name) <= before[name] + 15 for name in PROCESSES)

    await wait_until(are_closed, 10)


@pytest_asyncio.fixture(autouse=True, loop_scope="package")
async def _check_ingress_responds(stack) -> AsyncIterator[None]:
    yield
    await check_ingress_responds(stack)


def start_slow_clients(stack: StackUnderTest) -> list[asyncio.Task[tuple[float, int]]]:
    """300 clients that send the headers slowly, and 400 that send the body slowly."""
    body = post("/api/orders", "Content-Length: 60000", b"{")
    chunks = post("/", "Transfer-Encoding: chunked", b"")
    clients = [
        *(send_slowly(stack, b"GET / HTTP/1.1\r\nHost: x\r\nX-", b"a") for _ in range(200)),
        *(send_slowly(stack, b"", b"") for _ in range(100)),
        *(send_slowly(stack, body, b" ") for _ in range(200)),
        *(send_slowly(stack, body, b"") for _ in range(100)),
        *(send_slowly(stack, chunks, b"1\r\n \r\n") for _ in range(100)),
    ]
    return [asyncio.create_task(client) for client in clients]


async def connect_without_reading(stack: StackUnderTest) -> list[asyncio.StreamWriter]:
    """Clients that send one request or many and read no response."""
    browse = b"GET /api/tickets HTTP/1.1\r\nHost: x\r\n\r\n"
    return [await send_without_reading(stack, browse * n) for n in [1] * 100 + [200] * 3]


async def measure_purchase(seller: httpx.AsyncClient, buyer: httpx.AsyncClient) -> float:
    """The seconds that three requests take."""
    started = time.monotonic()
    assert (await buyer.get("/api/tickets", params={"limit": 5})).is_success
    assert (await post_order(buyer, await list_ticket(seller))).status_code == 201
    return time.monotonic() - started


async def test_slow_clients_do_not_slow_down_others(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    await asyncio.gather(*(list_ticket(seller) for _ in range(100)))
    unread = await connect_without_reading(stack)
    slow = start_slow_clients(stack)
    durations = []
    for _ in range(10):
        durations.append(await measure_purchase(seller, buyer))
        await asyncio.sleep(0.1)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    for writer in unread:
        writer.close()
    assert max(durations) < 5


@pytest.mark.nightly
async def test_slow_clients_are_disconnected_but_a_stream_of_events_stays_open(stack):
    seller, listener, buyer = [await stack.sign_up() for _ in range(3)]
    await asyncio.gather(*(list_ticket(seller) for _ in range(100)))
    started = time.monotonic()
    async with listener.stream("GET", "/api/tickets/events") as events:
        unread = await connect_without_reading(stack)
        disconnecting = asyncio.gather(*start_slow_clients(stack))
        durations = []
        while not disconnecting.done():
            durations.append(await measure_purchase(seller, buyer))
            await asyncio.sleep(0.2)
        ends = disconnecting.result()
        for writer in unread:
            writer.close()
        await asyncio.sleep(TIMEOUT + 1 - (time.monotonic() - started))
        ticket_id = await list_ticket(seller)
        async with asyncio.timeout(5):
            assert await anext(line async for line in events.aiter_lines() if ticket_id in line)
    assert max(durations) < 5
    assert len(durations) > 10
    assert [(n, end) for n, end in enumerate(ends) if end[0] >= TIMEOUT] == []
    assert {status for _, status in ends[300:]} == {408}


@pytest.mark.parametrize("path", ["/api/tickets", "/api/payments/webhook", "/signin", "/nowhere"])
async def test_body_over_64_kib_is_rejected(stack, path):
    too_large = {"errors": [{"message": "The request body is larger than 64 KiB"}]}
    chunks = post(path, "Transfer-Encoding: chunked", b"".join([b"1000\r\n" + bytes(4096) + b"\r\n"] * 500))
    sent = [
        post(path, f"Content-Length: {64 * 1024 + 1}", bytes(64 * 1024 + 1)),
        post(path, f"Content-Length: {10**10}", b""),
        post(path, f"Content-Length: {10**10}", bytes(10**6)),
        chunks,
    ]
    for ((status, body),) in await send_to_ingress(stack, sent):
        assert (status, json.loads(body)) == (413, too_large)


async def test_wrong_content_length_affects_only_its_own_request(stack):
    short = post("/api/tickets", "Content-Length: 100", b"{}")
    # The client closes its side before the end of the body, so there may be no response.
    responses = await send_bytes(ingress_address(stack), short, half_close=True)
    assert {status for status, _ in responses} <= {499, 503}
    long = post("/api/tickets", "Content-Length: 2", b"{}" + b"more\r\n\r\n")
    assert [status for status, _ in await send_bytes(ingress_address(stack), long)] == [401, 400]


async def test_many_large_bodies_at_once_take_little_memory(stack):
    before = {name: memory_mb(name) for name in PROCESSES}
    allowed = post("/api/orders", "Content-Length: 65536", bytes(65536))
    large = post("/api/orders", f"Content-Length: {4 * 2**20}", bytes(4 * 2**20))
    chunks = post(
        "/api/orders", "Transfer-Encoding: chunked", b"".join([b"4000\r\n" + bytes(16384) + b"\r\n"] * 64)
    )
    found = await send_to_ingress(stack, [allowed, large, chunks] * 60)
    assert {status for responses in found for status, _ in responses} == {401, 413}
    for name in PROCESSES:
        assert memory_mb(name) < before[name] + 64, name


async def test_others_are_served_during_1500_idle_connections(stack):
    request = b"GET /nowhere/ HTTP/1.1\r\nHost: x\r\n\r\n"
    idle = []
    for _ in range(1500):
        reader, writer = await asyncio.open_connection(*ingress_address(stack))
        idle.append((reader, writer))
    for _, writer in idle:
        writer.write(request)
    heads = [await reader.readuntil(b"\r\n\r\n") for reader, _ in idle[::10]]
    assert all(head.startswith(b"HTTP/1.1 404") for head in heads)
    await asyncio.gather(*(check_ingress_responds(stack) for _ in range(20)))
    for _, writer in idle:
        writer.close()


async def test_others_are_served_after_2000_reset_connections(stack):
    incomplete = [
        b"",
        b"GET /api/ti",
        post("/api/orders", "Content-Length: 500", b"{"),
        b"GET /api/tickets HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for n in range(2000):
        with socket.create_connection(ingress_address(stack)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(incomplete[n % 4])
    await asyncio.gather(*(check_ingress_responds(stack) for _ in range(20)))


async def test_malformed_request_gets_at_most_one_response(stack):
    found = await send_to_ingress(stack, MALFORMED.values())
    for name, responses in zip(MALFORMED, found, strict=True):
        assert len(responses) <= 1, name
        for status, body in responses:
            check_form(name, status, body)


async def test_ambiguous_request_cannot_smuggle_a_second_one(stack):
    requests = AMBIGUOUS | SMUGGLED
    found = await send_to_ingress(stack, requests.values())
    for name, responses in zip(requests, found, strict=True):
        assert len(responses) == 1, name
        check_form(name, *responses[0])


@pytest.mark.parametrize("service", ["TICKETS", "CLIENT"])
async def test_service_without_the_ingress_rejects_malformed_and_ambiguous_requests(stack, service):
    address = "127.0.0.1", int(stack.env[f"{service}_URL"].rpartition(":")[2])
    requests = MALFORMED | AMBIGUOUS
    found = await asyncio.gather(*(send_bytes(address, raw) for raw in requests.values()))
    for name, responses in zip(requests, found, strict=True):
        assert len(responses) == 1, name
        check_form(name, *responses[0])


async def test_rejected_body_is_never_read_as_a_request(stack):
    line = b"GET /api/tickets?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    sizes = (70_000, 300_000, 1_000_000, 3_000_000)
    bodies = [(line * (size // len(line) + 1))[:size] for size in sizes]
    requests = [post("/api/orders", f"Content-Length: {len(body)}", body) for body in bodies]
    for responses in await send_to_ingress(stack, requests):
        assert [status for status, _ in responses] == [413]


@pytest.mark.parametrize("server", ["BASE", "TICKETS"])
async def test_invalid_json_gets_400_and_unusual_json_is_accepted(stack, server):
    user = await stack.sign_up()
    url = stack.env[f"{server}_URL"] + "/api/tickets"
    headers = {"Content-Type": "application/json", "Cookie": f"session={user.cookies['session']}"}
    for name, body in INVALID_JSON.items():
        response = await user.post(url, content=body, headers=headers)
        assert response.status_code == 400, name
        check_form(name, 400, response.content)
        assert "application/json" in response.headers["Content-Type"], name
    for name, body in UNUSUAL_JSON.items():
        response = await user.post(url, content=body, headers=headers)
        assert response.status_code == 201, name


async def check_ingress_responds(stack: StackUnderTest) -> None:
    """On a new connection."""
    request = b"GET /api/tickets?limit=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    ((status, body),) = await send_bytes(ingress_address(stack), request, silence=10)
    assert status == 200
    json.loads(body)


def check_form(name: str, status: int, body: bytes) -> None:
    """An error has the contract's form, unless an HTTP server sent it in plain text."""
    if status < 400 or (status in PLAIN_TEXT_STATUSES and not body.startswith((b"{", b"<"))):
        return
    assert status < 500, (name, status, body)
    errors = json.loads(body)["errors"]
    assert errors, name
    assert all(set(each) <= {"message", "field", "code"} and each["message"] for each in errors), name


def ingress_address(stack: StackUnderTest) -> tuple[str, int]:
    return "127.0.0.1", int(stack.base_url.rpartition(":")[2])


async def send_to_ingress(stack: StackUnderTest, requests: Iterable[bytes]) -> list[list[Response]]:
    """Sends each on a connection of its own, all at once. Returns the responses to each."""
    return await asyncio.gather(*(send_bytes(ingress_address(stack), raw) for raw in requests))


async def send_bytes(
    address: tuple[str, int], raw: bytes, *, half_close: bool = False, silence: float = 1
) -> list[Response]:
    """Returns all responses until the connection ends or is silent for this many seconds."""
    reader, writer = await asyncio.open_connection(*address)
    received = b""
    with contextlib.suppress(OSError):
        writer.write(raw)
        if half_close:
            writer.write_eof()
        with contextlib.suppress(TimeoutError):
            while more := await asyncio.wait_for(reader.read(65536), silence):
                received += more
    writer.close()
    return [(int(status), body) for status, body in _RESPONSE.findall(received) if status != b"100"]


_RESPONSE = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r]*\r\n.*?\r\n\r\n(.*?)(?=HTTP/1\.[01] \d{3}|\Z)", re.DOTALL)


async def send_slowly(stack: StackUnderTest, first: bytes, drop: bytes) -> tuple[float, int]:
    """Sends the first bytes, then a drop per second, until the server ends the connection.

    Returns after how many seconds that was, and the status of the response. `Connection: close` counts as the
    end, because Caddy (2.11) sometimes leaves it to the client to close the socket of an abandoned body.
    """
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(*ingress_address(stack))
    received = b""
    try:
        with contextlib.suppress(OSError):
            writer.write(first)
            while time.monotonic() - started < TIMEOUT + 5:
                with contextlib.suppress(TimeoutError):
                    more = await asyncio.wait_for(reader.read(4096), 1)
                    received += more
                    if not more or b"\r\nconnection: close\r\n" in received.lower():
                        break
                writer.write(drop)
    finally:
        writer.close()
    return time.monotonic() - started, int(received[9:12] or 0)


async def send_without_reading(stack: StackUnderTest, raw: bytes) -> asyncio.StreamWriter:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ingress_address(stack))
    _, writer = await asyncio.open_connection(sock=client, limit=1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(raw)
    return writer


def count_open_files(process: str) -> int:
    return len(os.listdir(f"/proc/{find_pid(process)}/fd"))


def memory_mb(process: str) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{find_pid(process)}/status").read_text())
    assert found
    return int(found[1]) / 1024


def find_pid(process: str) -> int:
    """The child process whose command line contains this."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and process.encode() in (folder / "cmdline").read_bytes():
                return int(folder.name)
    raise AssertionError(f"{process} does not run")
