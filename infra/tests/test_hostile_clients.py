"""Clients that are slow, big, many or speak no HTTP: others hardly notice, and nothing is left of them.

What Go's HTTP server refuses before any handler of the ingress sees it (a line that is no request, two
lengths, a header of a megabyte) it answers in its own words, in plain text; uvicorn does so, too. All else
has the contract's shape.
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
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hostile_requests import AMBIGUOUS, BAD_JSON, MALFORMED, ODD_JSON, SMUGGLED, post
from market import listed, order

from ticketing_common.testing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARTS = ["caddy", *(f"{name}.main" for name in ("auth", "tickets", "orders", "payments", "client"))]
IN_ITS_OWN_WORDS = {400, 417, 431, 501, 505}
Answer = tuple[int, bytes]


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest_asyncio.fixture(scope="module", autouse=True, loop_scope="module")
async def _no_file_stays_open(market) -> AsyncIterator[None]:
    await assert_serves(market)
    before = {part: open_files(part) for part in PARTS}
    yield

    async def as_before() -> bool:
        return all(open_files(part) <= before[part] + 15 for part in PARTS)

    await wait_until(as_before, 10)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _serves_on(market) -> AsyncIterator[None]:
    yield
    await assert_serves(market)


async def test_slow_clients_are_cut_off_and_hinder_nobody_but_a_stream_of_events_lives_on(market):
    seller, listener, buyer = [await market.person() for _ in range(3)]
    await asyncio.gather(*(listed(seller) for _ in range(100)))
    begun = time.monotonic()
    async with listener.stream("GET", "/api/tickets/events") as events:
        browse = b"GET /api/tickets HTTP/1.1\r\nHost: x\r\n\r\n"
        silent = [await deaf(market, browse * n) for n in [1] * 100 + [200] * 3]
        some = post("/api/orders", "Content-Length: 60000", b"{")
        chunks = post("/", "Transfer-Encoding: chunked", b"")
        slow = [
            *(cut_off(market, b"GET / HTTP/1.1\r\nHost: x\r\nX-", b"a") for _ in range(200)),
            *(cut_off(market, b"", b"") for _ in range(100)),
            *(cut_off(market, some, b" ") for _ in range(200)),
            *(cut_off(market, some, b"") for _ in range(100)),
            *(cut_off(market, chunks, b"1\r\n \r\n") for _ in range(100)),
        ]
        cutting = asyncio.gather(*slow)
        taken = []
        while not cutting.done():
            asked = time.monotonic()
            assert (await buyer.get("/api/tickets", params={"limit": 5})).is_success
            assert (await order(buyer, await listed(seller))).status_code == 201
            taken.append(time.monotonic() - asked)
            await asyncio.sleep(0.2)
        ends = cutting.result()
        for writer in silent:
            writer.close()
        await asyncio.sleep(16 - (time.monotonic() - begun))  # longer than anything a client may take
        ticket = await listed(seller)
        async with asyncio.timeout(5):
            assert await anext(line async for line in events.aiter_lines() if ticket in line)
    assert max(taken) < 5  # for three requests
    assert len(taken) > 10
    assert [(n, end) for n, end in enumerate(ends) if end[0] >= 15] == []
    assert {status for _, status in ends[300:]} == {408}


@pytest.mark.parametrize("path", ["/api/tickets", "/api/payments/webhook", "/signin", "/nowhere"])
async def test_a_body_over_64_kib_is_refused_however_it_comes(market, path):
    too_large = {"errors": [{"message": "The request body is larger than 64 KiB"}]}
    endless = post(path, "Transfer-Encoding: chunked", b"".join([b"1000\r\n" + bytes(4096) + b"\r\n"] * 500))
    tried = [
        post(path, f"Content-Length: {64 * 1024 + 1}", bytes(64 * 1024 + 1)),
        post(path, f"Content-Length: {10**10}", b""),
        post(path, f"Content-Length: {10**10}", bytes(10**6)),
        endless,
    ]
    for ((status, body),) in await asyncio.gather(*(answers(door(market), raw) for raw in tried)):
        assert (status, json.loads(body)) == (413, too_large)


async def test_a_length_that_lies_spoils_nothing_but_its_own_request(market):
    short = post("/api/tickets", "Content-Length: 100", b"{}")
    # Gone half-way: no answer, or one that it may not hear.
    assert {status for status, _ in await answers(door(market), short, half_close=True)} <= {499, 503}
    long = post("/api/tickets", "Content-Length: 2", b"{}" + b"more\r\n\r\n")
    assert [status for status, _ in await answers(door(market), long)] == [401, 400]


async def test_many_big_bodies_at_once_take_little_memory(market):
    before = {part: memory_mb(part) for part in PARTS}
    allowed = post("/api/orders", "Content-Length: 65536", bytes(65536))
    large = post("/api/orders", f"Content-Length: {4 * 2**20}", bytes(4 * 2**20))
    chunks = post(
        "/api/orders", "Transfer-Encoding: chunked", b"".join([b"4000\r\n" + bytes(16384) + b"\r\n"] * 64)
    )
    found = await asyncio.gather(*(answers(door(market), raw) for raw in [allowed, large, chunks] * 60))
    assert {status for each in found for status, _ in each} == {401, 413}
    for part in PARTS:
        assert memory_mb(part) < before[part] + 64, part


async def test_a_thousand_idle_connections_hinder_nobody(market):
    request = b"GET /nowhere/ HTTP/1.1\r\nHost: x\r\n\r\n"
    idle = []
    for _ in range(1500):
        reader, writer = await asyncio.open_connection(*door(market))
        idle.append((reader, writer))
    for _, writer in idle:
        writer.write(request)
    first = [await reader.readuntil(b"\r\n\r\n") for reader, _ in idle[::10]]
    assert all(said.startswith(b"HTTP/1.1 404") for said in first)
    await asyncio.gather(*(assert_serves(market) for _ in range(20)))
    for _, writer in idle:
        writer.close()


async def test_connections_that_are_reset_at_any_point_leave_nothing(market):
    halves = [
        b"",
        b"GET /api/ti",
        post("/api/orders", "Content-Length: 500", b"{"),
        b"GET /api/tickets HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for n in range(2000):
        with socket.create_connection(door(market)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(halves[n % 4])
    await asyncio.gather(*(assert_serves(market) for _ in range(20)))


async def test_what_is_no_proper_request_gets_one_refusal_or_one_answer(market):
    found = await asyncio.gather(*(answers(door(market), raw) for raw in MALFORMED.values()))
    for name, each in zip(MALFORMED, found, strict=True):
        assert len(each) <= 1, name
        for status, body in each:
            assert_proper(name, status, body)


async def test_no_second_request_can_be_smuggled_in_a_first(market):
    smuggler = (AMBIGUOUS | SMUGGLED).items()
    found = await asyncio.gather(*(answers(door(market), raw) for _, raw in smuggler))
    for (name, _), each in zip(smuggler, found, strict=True):
        assert len(each) == 1, name
        assert_proper(name, *each[0])


@pytest.mark.parametrize("service", ["TICKETS", "CLIENT"])
async def test_nor_can_it_at_a_service_without_the_ingress(market, service):
    port = int(market.stack.env[f"{service}_URL"].rpartition(":")[2])
    tried = (MALFORMED | AMBIGUOUS).items()
    found = await asyncio.gather(*(answers(("127.0.0.1", port), raw) for _, raw in tried))
    for (name, _), each in zip(tried, found, strict=True):
        assert len(each) == 1, name
        assert_proper(name, *each[0])


async def test_what_follows_a_refused_body_is_never_taken_for_a_request(market):
    line = b"GET /api/tickets?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    sizes = (70_000, 300_000, 1_000_000, 3_000_000)
    bodies = [(line * (size // len(line) + 1))[:size] for size in sizes]
    tried = [post("/api/orders", f"Content-Length: {len(body)}", body) for body in bodies]
    for each in await asyncio.gather(*(answers(door(market), raw) for raw in tried)):
        assert [status for status, _ in each] == [413]


@pytest.mark.parametrize("through", ["BASE", "TICKETS"])
async def test_json_of_any_kind_is_taken_or_refused_in_the_contract_s_words(market, through):
    person = await market.person()
    url = market.stack.env[f"{through}_URL"] + "/api/tickets"
    for name, body in BAD_JSON.items():
        answer = await person.post(url, content=body, headers={**JSON, "Cookie": cookie(person)})
        assert answer.status_code == 400, name
        assert_proper(name, 400, answer.content)
        assert "application/json" in answer.headers["Content-Type"], name
    for name, body in ODD_JSON.items():
        answer = await person.post(url, content=body, headers={**JSON, "Cookie": cookie(person)})
        assert answer.status_code == 201, name


JSON = {"Content-Type": "application/json"}


def cookie(person) -> str:
    return f"session={person.cookies['session']}"


async def assert_serves(market) -> None:
    """Somebody new at the door is served."""
    request = b"GET /api/tickets?limit=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    ((status, body),) = await answers(door(market), request, silence=10)
    assert status == 200
    json.loads(body)


def assert_proper(name: str, status: int, body: bytes) -> None:
    """An answer of a service or the ingress; or of their HTTP servers, in their own words."""
    if status < 400 or (status in IN_ITS_OWN_WORDS and not body.startswith((b"{", b"<"))):
        return
    assert status < 500, (name, status, body)
    errors = json.loads(body)["errors"]
    assert errors, name
    assert all(set(each) <= {"message", "field", "code"} and each["message"] for each in errors), name


def door(market) -> tuple[str, int]:
    return "127.0.0.1", int(market.stack.base_url.rpartition(":")[2])


async def answers(
    where: tuple[str, int], raw: bytes, *, half_close: bool = False, silence: float = 1
) -> list[Answer]:
    """All that is answered until the connection ends, or nothing comes for a while: each status and body."""
    reader, writer = await asyncio.open_connection(*where)
    said = b""
    with contextlib.suppress(OSError):
        writer.write(raw)
        if half_close:
            writer.write_eof()
        with contextlib.suppress(TimeoutError):
            while more := await asyncio.wait_for(reader.read(65536), silence):
                said += more
    writer.close()
    return [(int(status), body) for status, body in _ANSWER.findall(said) if status != b"100"]


_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r]*\r\n.*?\r\n\r\n(.*?)(?=HTTP/1\.[01] \d{3}|\Z)", re.DOTALL)


async def cut_off(market, first: bytes, drop: bytes) -> tuple[float, int]:
    """Send the first bytes, then a drop a second. When that was put an end to, and the status that came.

    An answer that says so is an end: now and then Caddy (2.11) leaves it to the client to close the socket of
    a body that was given up.
    """
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection(*door(market))
    said = b""
    with contextlib.suppress(OSError):
        writer.write(first)
        while time.monotonic() - begun < 20:
            with contextlib.suppress(TimeoutError):
                more = await asyncio.wait_for(reader.read(4096), 1)
                said += more
                if not more or b"\r\nconnection: close\r\n" in said.lower():
                    break
            writer.write(drop)
    writer.close()
    return time.monotonic() - begun, int(said[9:12] or 0)


async def deaf(market, raw: bytes) -> asyncio.StreamWriter:
    """Somebody who asks and does not listen."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, door(market))
    _, writer = await asyncio.open_connection(sock=client, limit=1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(raw)
    return writer


def open_files(part: str) -> int:
    return len(os.listdir(f"/proc/{pid_of(part)}/fd"))


def memory_mb(part: str) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid_of(part)}/status").read_text())
    assert found
    return int(found[1]) / 1024


def pid_of(part: str) -> int:
    """The child of ours whose command names this part."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and part.encode() in (folder / "cmdline").read_bytes():
                return int(folder.name)
    raise AssertionError(f"{part} does not run")
