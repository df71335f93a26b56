"""The load generator: prebuilt HTTP/1.1 requests over kept-alive connections, from a process of its own.

Each connection sends its next request as soon as the answer to the last one is in (a closed loop). Of an
answer only the status line and Content-Length are read.
"""

import asyncio
import re
import time
from array import array
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from multiprocessing import get_context

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What is sent where, over how many connections, and for how long."""

    ports: tuple[int, ...]
    """The connections are dealt out to these in turn."""
    requests: list[bytes]
    status: int
    connections: int
    seconds: float
    once: bool = False
    """Each request is good for one time: the load ends when they run out."""


@dataclass(frozen=True)
class Outcome:
    """What came of a load."""

    seconds: float
    nanoseconds: "array[int]"
    """How long each request took."""
    client_cpu: float
    """The share of one core that the generator itself took: near 1 it measures itself."""

    @property
    def per_second(self) -> float:
        return len(self.nanoseconds) / self.seconds


class BadAnswer(Exception):
    """A status that was not expected: what is measured would not be what is meant."""


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        assert self._transport
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        length = _LENGTH.search(self._received, 0, head_end)
        whole = head_end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._received) >= whole and self._answer and not self._answer.done():
            status, body = int(self._received[9:12]), self._received[head_end + len(_HEAD_END) : whole]
            self._received = self._received[whole:]
            self._answer.set_result((status, body))

    def connection_lost(self, _: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


def request(method: str, path: str, *, session: str = "", body: bytes = b"") -> bytes:
    """The bytes of a request, from the user whom the cookie `session` names."""
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if session:
        head.append(f"Cookie: session={session}")
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


class Generator:
    """The generator's process, kept for many loads."""

    def __init__(self) -> None:
        # Not forked: the child would have the event loop and the open files of its parent.
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))

    async def drive(self, load: Load) -> Outcome:
        """Raises BadAnswer."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _drive, load)

    def close(self) -> None:
        self._pool.shutdown()


def _drive(load: Load) -> Outcome:
    return uvloop.run(_all_connections(load))


async def _all_connections(load: Load) -> Outcome:
    connections = [await connect(load.ports[n % len(load.ports)]) for n in range(load.connections)]
    todo = iter(load.requests) if load.once else cycle(load.requests)
    nanoseconds: array[int] = array("Q")
    cpu, begun = time.process_time(), time.perf_counter()
    ending = begun + load.seconds
    await asyncio.gather(
        *(_one_connection(each, todo, load.status, ending, nanoseconds) for each in connections)
    )
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    for each in connections:
        each.close()
    return Outcome(seconds, nanoseconds, cpu / seconds)


async def _one_connection(
    connection: Connection, todo: Iterator[bytes], status: int, ending: float, nanoseconds: "array[int]"
) -> None:
    for data in todo:
        begun = time.perf_counter_ns()
        got, body = await connection.ask(data)
        nanoseconds.append(time.perf_counter_ns() - begun)
        if got != status:
            raise BadAnswer(f"{status} was expected of {data[:60]!r}, not {got}: {body[:200]!r}")
        if time.perf_counter() > ending:
            return
