"""An answer that lasts: what ends it, and that nothing of it is left then."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from ticketing_common.testing import serve_app
from tickets import sse
from tickets.sse import EventStream, sse_event


class Source:
    """Gives what it is told to, and knows whether it was closed."""

    def __init__(self, *chunks, for_ever=True):
        self._chunks, self._for_ever = chunks, for_ever
        self.closed = asyncio.Event()

    async def __aiter__(self):
        try:
            for chunk in self._chunks:
                yield chunk
            if self._for_ever:
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


async def closed(source):
    await asyncio.wait_for(source.closed.wait(), 2)


def test_an_event_has_an_id_a_name_and_its_data():
    assert sse_event("7", "ticket.created", '{"title":"Bällett"}') == (
        'id: 7\nevent: ticket.created\ndata: {"title":"Bällett"}\n\n'.encode()
    )


async def test_an_answer_ends_when_there_is_no_more():
    async with serving(Source(b"a", b"b", for_ever=False)) as (_, http):
        answer = await http.get("/")
    assert answer.content == b"ab"
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_an_answer_ends_in_good_order_when_the_server_must_stop():
    source = Source(b"a")
    async with serving(source) as (app, http), http.stream("GET", "/") as answer:
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == b"a"
        app.state.draining.set()
        assert [piece async for piece in pieces] == []
        await closed(source)


async def test_a_client_that_goes_is_noticed_at_once():
    source = Source(b"a")
    async with serving(source) as (_, http):
        async with http.stream("GET", "/"):
            assert not source.closed.is_set()
        await closed(source)


async def test_a_client_that_takes_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(sse, "_SEND_TIMEOUT", 0.05)
    monkeypatch.setattr(sse, "_CLOSE_TIMEOUT", 0.05)
    source = Source(b"a")

    async def stuck(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def stays():
        await asyncio.Event().wait()

    answer = EventStream(aiter(source), asyncio.Event())
    await asyncio.wait_for(answer({"type": "http"}, stays, stuck), 2)
    assert source.closed.is_set()


async def test_what_breaks_a_source_breaks_its_answer():
    async def broken():
        yield b"a"
        raise RuntimeError("told to")

    async with serving(broken()) as (_, http):
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/")
