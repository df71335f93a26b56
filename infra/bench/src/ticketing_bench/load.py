"""The load generator: a process of its own that sends prebuilt HTTP/1.1 requests in a closed loop.

Each keep-alive connection sends its next request when the previous response is complete. Only the status and
the Content-Length of a response are parsed.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class LoadResult:
    seconds: float
    durations: list[float]
    """Of each request, in seconds."""
    client_cpu: float
    """The share of one core used by the generator. Near 1, the generator is the bottleneck."""


class UnexpectedStatus(Exception):
    """A response has another status than expected, so the measurement is void."""


class Connection:
    """A keep-alive connection that sends one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer

    def send(self, request: bytes) -> None:
        self._writer.write(request)

    async def ask(self, request: bytes, expected_status: int) -> bytes:
        """Send a request and return the body of its response. Raises UnexpectedStatus."""
        self.send(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await self.reader.readexactly(int(length[1])) if length else b""
        if int(head[9:12]) != expected_status:
            raise UnexpectedStatus(f"expected {expected_status} for {request[:60]!r}, got {head!r} {body!r}")
        return body

    async def create(self, path: str, session: str = "", **fields: object) -> dict[str, Any]:
        """POST these fields as JSON, and return the JSON of the 201. Raises UnexpectedStatus."""
        body = json.dumps(fields).encode()
        return dict(json.loads(await self.ask(request("POST", path, session=session, body=body), 201)))

    def close(self) -> None:
        self._writer.close()


async def connect(port: int) -> Connection:
    return Connection(*await asyncio.open_connection("127.0.0.1", port))


def request(method: str, path: str, *, session: str = "", body: bytes = b"") -> bytes:
    """Build a request; `session` is the value of the session cookie."""
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if session:
        head.append(f"Cookie: session={session}")
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


def run_load(
    ports: list[int], requests: list[bytes], status: int, connections: int, seconds: float, once: bool
) -> LoadResult:
    """Run a load, with the connections distributed over the ports. Called in the generator's process.

    `once`: send each request once, and stop when all are sent; otherwise repeat them.
    Raises UnexpectedStatus if any status is another one.
    """
    return uvloop.run(_run(ports, iter(requests) if once else cycle(requests), status, connections, seconds))


async def _run(
    ports: list[int], requests: Iterator[bytes], status: int, count: int, seconds: float
) -> LoadResult:
    connections = [await connect(ports[n % len(ports)]) for n in range(count)]
    durations: list[float] = []
    cpu, start = time.process_time(), time.perf_counter()
    end = start + seconds
    await asyncio.gather(*(_repeat(each, requests, status, end, durations) for each in connections))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    for each in connections:
        each.close()
    return LoadResult(seconds, durations, cpu / seconds)


async def _repeat(
    connection: Connection, requests: Iterator[bytes], status: int, end: float, durations: list[float]
) -> None:
    for data in requests:
        start = time.perf_counter()
        await connection.ask(data, status)
        durations.append(time.perf_counter() - start)
        if time.perf_counter() > end:
            return
