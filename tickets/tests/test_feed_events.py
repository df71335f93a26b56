"""What listeners of the live feed receive, and how their streams begin and end."""

import asyncio
import json
import re
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal

import httpx
import uvicorn

from ticketing_common.http.server import Server
from ticketing_common.testing import new_user, serve_app, session, wait_until
from ticketing_common.values.events import TicketCreated, TicketUpdated
from ticketing_common.values.ids import new_id
from tickets import feed, sse
from tickets.main import create

URL = "/api/tickets/events"


async def test_every_listener_receives_every_event_in_order(client, listen):
    async with listen(client) as first, listen(client) as second:
        headers = first.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store"
        user = new_user()
        listed = await client.post(
            "/api/tickets", json={"title": "Opera", "price": 19.99}, headers=session(user)
        )
        url = f"/api/tickets/{listed.json()['id']}"
        edited = await client.put(url, json={"title": "Bället", "price": 5}, headers=session(user))
        for listener in (first, second):
            created, updated = await listener.next_event(), await listener.next_event()
            assert (created.event, created.data) == ("ticket.created", listed.json())
            assert (updated.event, updated.data) == ("ticket.updated", edited.json())
            assert list(created.data) == ["id", "title", "price", "userId", "version", "orderId"]
            assert created.id != updated.id


async def test_event_published_after_the_response_headers_is_received(client, bus, listen, update):
    for i in range(20):
        async with listen(client) as listener:
            await update(bus, f"{i}")
            assert await listener.next_titles(1) == [f"{i}"]


async def test_event_of_a_reservation_contains_the_order(client, bus, listen):
    async with listen(client) as listener:
        reserved = TicketUpdated(id="t", version=2, title="a", price=Decimal(5), user_id="u", order_id="o")
        await bus.publish(reserved)
        assert (await listener.next_event()).data["orderId"] == "o"


async def test_event_that_does_not_parse_is_skipped_and_blocks_no_later_one(client, bus, listen, update):
    async with listen(client) as listener:
        await bus.publish_raw("ticket.updated", b"\xff{ no event")
        await update(bus, "behind it")
        assert await listener.next_titles(1) == ["behind it"]


async def test_idle_listener_receives_heartbeats(client, listen, monkeypatch):
    monkeypatch.setattr(feed, "HEARTBEAT_SECONDS", 0.1)
    async with listen(client) as listener:
        started = time.monotonic()
        lines = [await listener.next_line() for _ in range(20)]
        assert 0.3 < time.monotonic() - started < 3
        assert lines.count(":") > 5


async def test_schema_describes_the_stream_and_other_methods_are_rejected(client):
    schema = (await client.get("/api/tickets/openapi.json")).json()["paths"][URL]["get"]
    assert "text/event-stream" in schema["responses"]["200"]["content"]
    assert {(p["in"], p["name"]) for p in schema["parameters"]} == {
        ("header", "last-event-id"),
        ("query", "lastEventId"),
    }
    for method in ("POST", "HEAD"):
        assert (await client.request(method, URL)).status_code == 405


async def test_disconnecting_client_frees_its_listener(client, listen, listener_count):
    async def is_count(expected):
        return await listener_count(client) == expected

    async with listen(client), listen(client):
        await wait_until(lambda: is_count(2))
    await wait_until(lambda: is_count(0), 2)


async def test_open_streams_end_when_the_server_shuts_down(settings, bus, listen):
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(serve_app(create(settings)))
        async with httpx.AsyncClient(base_url=http.base_url) as client, listen(client) as listener:
            stopping = asyncio.create_task(stack.aclose())
            started = time.monotonic()
            await listener.wait_for_end()
            await stopping
            assert time.monotonic() - started < 2


@asynccontextmanager
async def small_buffers(app):
    """The app behind sockets with small buffers, and a client socket that never reads on its own."""
    server_socket = socket.socket()
    server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    server_socket.bind(("127.0.0.1", 0))
    host, port = server_socket.getsockname()
    server = Server(uvicorn.Config(app, log_config=None))
    serving = asyncio.create_task(server._serve([server_socket]))
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)

    async def has_started():
        return server.started

    try:
        await wait_until(has_started)
        await asyncio.get_running_loop().sock_connect(client, (host, port))
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as http:
            yield http, client
    finally:
        client.close()
        server.should_exit = True
        await serving


async def test_client_that_reads_nothing_is_disconnected_and_resumes_without_a_gap(
    settings, bus, listen, update, listener_count, monkeypatch
):
    monkeypatch.setattr(sse, "_SEND_TIMEOUT", 0.2)
    monkeypatch.setattr(feed, "MAX_RECENT", 50)
    loop = asyncio.get_running_loop()
    async with small_buffers(create(settings)) as (http, slow):
        await loop.sock_sendall(slow, f"GET {URL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        async def is_count(expected):
            return await listener_count(http) == expected

        await wait_until(lambda: is_count(1))
        titles = [f"{i:0200}" for i in range(400)]
        async with asyncio.TaskGroup() as group:
            for i in range(8):
                group.create_task(update(bus, *titles[i::8]))
        await wait_until(lambda: is_count(0))
        messages = (await loop.sock_recv(slow, 4096)).decode().split("\n\n")[:-1]  # the last is incomplete
        received = [
            json.loads(line[6:])["title"]
            for message in messages
            for line in message.split("\n")
            if "data: " in line
        ]
        last_id = re.findall("id: (.*)", messages[-1])[0]
        assert 0 < len(received) < 400
        async with listen(http, last_id) as listener:
            received += await listener.next_titles(400 - len(received))
        assert sorted(received) == titles


async def test_thousand_events_are_received_within_seconds(client, bus, listen):
    events = [
        TicketCreated(id=new_id(), version=0, title="a", price=Decimal(1), user_id="u") for _ in range(1000)
    ]
    async with listen(client) as listener:
        started = time.monotonic()
        publishing = asyncio.gather(*(bus.publish(event) for event in events))
        received = [(await listener.next_event()).data["id"] for _ in events]
        assert time.monotonic() - started < 5
        await publishing
    assert sorted(received) == sorted(event.id for event in events)
