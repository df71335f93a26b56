"""Event streams: their wire format, what ends them, and that their generator is closed then."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from ticketing_common.testing import serve_app
from tickets import sse
from tickets.sse import EventStream, sse_event


class Source:
    """Yields the chunks, and records whether the generator was closed."""

    def __init__(self, *chunks, endless=True):
        self._chunks, self._endless = chunks, endless
        self.closed = asyncio.Event()

    async def __aiter__(self):
        try:
            for chunk in self._chunks:
                yield chunk
            if self._endless:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


@asynccontextmanager
async def serving(source):
    app = FastAPI()
    app.state.draining = asyncio.Event()

    @app.get("/")
    async def follow() -> EventStream:
        return EventStream(aiter(source), app.state.draining)

    async with serve_app(app) as http:
        yield app, http


async def wait_until_closed(source):
    await asyncio.wait_for(source.closed.wait(), 2)


def test_event_has_an_id_a_name_and_data():
    assert sse_event("7", "ticket.created", '{"title":"Bällett"}') == (
        'id: 7\nevent: ticket.created\ndata: {"title":"Bällett"}\n\n'.encode()
    )


async def test_stream_ends_after_its_last_chunk():
    async with serving(Source(b"a", b"b", endless=False)) as (_, http):
        response = await http.get("/")
    assert response.content == b"ab"
    assert response.headers["content-type"].startswith("text/event-stream")


async def test_stream_ends_properly_when_the_server_stops():
    source = Source(b"a")
    async with serving(source) as (app, http), http.stream("GET", "/") as response:
        chunks_received = response.aiter_bytes()
        assert await anext(chunks_received) == b"a"
        app.state.draining.set()
        assert [chunk async for chunk in chunks_received] == []
        await wait_until_closed(source)


async def test_generator_is_closed_when_the_client_disconnects():
    source = Source(b"a")
    async with serving(source) as (_, http):
        async with http.stream("GET", "/"):
            assert not source.closed.is_set()
        await wait_until_closed(source)


async def test_generator_is_closed_when_the_client_does_not_read(monkeypatch):
    monkeypatch.setattr(sse, "_SEND_TIMEOUT", 0.05)
    monkeypatch.setattr(sse, "_CLOSE_TIMEOUT", 0.05)
    source = Source(b"a")

    async def blocked_send(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def receive_nothing():
        await asyncio.Event().wait()

    response = EventStream(aiter(source), asyncio.Event())
    await asyncio.wait_for(response({"type": "http"}, receive_nothing, blocked_send), 2)
    assert source.closed.is_set()


async def test_error_in_the_generator_aborts_the_stream():
    async def broken():
        yield b"a"
        raise RuntimeError("a bug")

    async with serving(broken()) as (_, http):
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/")
