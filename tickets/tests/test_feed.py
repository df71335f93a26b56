"""The stream of ticket events, as listeners on real HTTP hear it, on a real NATS that may die."""

import asyncio
import json
import re
import shutil
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import NamedTuple

import httpx
import pytest
import uvicorn

from ticketing_common import sse
from ticketing_common.app import Server
from ticketing_common.events import TicketCreated, TicketUpdated
from ticketing_common.jetstream import Bus, connected
from ticketing_common.mongo import new_id
from ticketing_common.testing import new_user, serve_app, session, wait_until
from ticketing_common.testing.servers import free_port, nats_server, running
from tickets import feed
from tickets.feed import Feed
from tickets.main import create

URL = "/api/tickets/events"


class Heard(NamedTuple):
    id: str
    event: str
    data: dict


class Ear:
    """One open answer, read as a browser reads it."""

    def __init__(self, answer):
        self.answer = answer
        self.last_id = None
        self._lines = answer.aiter_lines()

    async def line(self):
        """The next line, whatever it is."""
        async with asyncio.timeout(5):
            return await anext(self._lines)

    async def next(self):
        event = data = ""
        while True:
            line = await self.line()
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "event":
                event = value
            elif name == "data":
                data = value
            elif not line and data:
                return Heard(self.last_id, event, json.loads(data))

    async def titles(self, count):
        return [(await self.next()).data["title"] for _ in range(count)]

    async def ended(self):
        async with asyncio.timeout(5):
            return [line async for line in self._lines]


@asynccontextmanager
async def listening(http, last_event_id=None, query=None):
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    params = {} if query is None else {"lastEventId": query}
    async with http.stream("GET", URL, headers=headers, params=params, timeout=10) as answer:
        assert answer.status_code == 200
        yield Ear(answer)


async def happen(bus, *titles):
    """Tickets are changed, one after the other."""
    for title in titles:
        event = TicketUpdated(id=new_id(), version=1, title=title, price=Decimal("19.99"), user_id="u")
        await bus.publish(event)


async def listeners(http):
    metrics = (await http.get("/metrics")).text
    return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith(LISTENERS))


LISTENERS = "ticketing_ticket_listeners "


async def reads(http):
    """Wait until this replica reads the stream: until then, what happened since its start is news to it."""

    async def position():
        return (await http.get("/api/tickets")).headers.get("Last-Event-ID")

    return await wait_until(position)


async def test_each_event_is_told_in_order_as_it_happens_to_everyone(client):
    async with listening(client) as first, listening(client) as second:
        headers = first.answer.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store"
        user = new_user()
        made = await client.post(
            "/api/tickets", json={"title": "Opera", "price": 19.99}, headers=session(user)
        )
        url = f"/api/tickets/{made.json()['id']}"
        edited = await client.put(url, json={"title": "Bället", "price": 5}, headers=session(user))
        for ear in (first, second):
            created, updated = await ear.next(), await ear.next()
            assert (created.event, created.data) == ("ticket.created", made.json())
            assert (updated.event, updated.data) == ("ticket.updated", edited.json())
            assert list(created.data) == ["id", "title", "price", "userId", "version", "orderId"]
            assert created.id != updated.id


async def test_what_is_published_after_the_headers_is_told(client, bus):
    for i in range(20):
        async with listening(client) as ear:
            await happen(bus, f"{i}")
            assert await ear.titles(1) == [f"{i}"]


async def test_an_order_that_holds_the_ticket_is_told(client, bus):
    async with listening(client) as ear:
        held = TicketUpdated(id="t", version=2, title="a", price=Decimal(5), user_id="u", order_id="o")
        await bus.publish(held)
        assert (await ear.next()).data["orderId"] == "o"


async def test_what_does_not_parse_is_left_out_and_blocks_nothing(client, bus):
    async with listening(client) as ear:
        await bus.publish_raw("ticket.updated", b"\xff{ no event")
        await happen(bus, "behind it")
        assert await ear.titles(1) == ["behind it"]


async def test_a_listener_who_comes_back_misses_nothing(client, bus):
    async with listening(client) as ear:
        await happen(bus, "a", "b")
        first = await ear.next()
    await happen(bus, "c")
    async with listening(client, first.id) as ear:
        assert await ear.titles(2) == ["b", "c"]


async def test_one_who_was_cut_off_before_any_event_misses_nothing_either(client, bus):
    async with listening(client) as ear:
        while not (line := await ear.line()).startswith("id: "):
            pass
    await happen(bus, "meanwhile")
    async with listening(client, line.removeprefix("id: ")) as ear:
        assert await ear.titles(1) == ["meanwhile"]


async def test_one_who_was_away_for_long_is_read_to_from_the_stream(client, bus, monkeypatch):
    monkeypatch.setattr(feed, "RECENT", 5)
    monkeypatch.setattr(feed, "_BATCH", 7)
    async with listening(client) as ear:
        await happen(bus, "first")
        first = await ear.next()
    titles = [str(i) for i in range(40)]
    await happen(bus, *titles)
    async with listening(client, first.id) as ear:
        assert await ear.titles(40) == titles
        await happen(bus, "live")
        assert await ear.titles(1) == ["live"]


async def test_a_listener_goes_on_at_another_replica_and_after_a_restart(client, bus, settings):
    async with serve_app(create(settings)) as other, listening(client) as ear, listening(other) as there:
        await happen(bus, "a", "b")
        first = await ear.next()
        assert (await there.next()).id == first.id
        async with listening(other, first.id) as again:
            assert await again.titles(1) == ["b"]
    async with serve_app(create(settings)) as restarted, listening(restarted, first.id) as ear:
        assert await ear.titles(1) == ["b"]


async def test_an_id_that_this_replica_has_not_read_up_to_is_waited_for(client, bus, monkeypatch):
    took = Feed._take
    held = []
    async with listening(client) as ear:
        await happen(bus, "a")
        position = (await ear.next()).id
    monkeypatch.setattr(Feed, "_take", lambda self, *what: held.append((self, *what)))
    await happen(bus, "told by another", "next")
    made, _, sequence = position.partition("-")
    async with listening(client, f"{made}-{int(sequence) + 1}") as ear:
        await wait_until(lambda: _done(len([m for h in held for m in h[2]]) == 2))
        monkeypatch.undo()
        for what in held:
            took(*what)
        assert await ear.titles(1) == ["next"]


async def _done(whether):
    return whether


async def test_an_unknown_id_starts_live(client, bus):
    await reads(client)
    await happen(bus, "before")
    made = f"{int((await bus.stream()).created.timestamp() * 1000):x}"
    beyond, purged = f"{made}-999999999", f"{made}-0"
    for unknown in ("0", "nonsense", "999999999", "", "1-1", "-", beyond, purged, b"\xff", "9" * 5000):
        async with listening(client, unknown) as ear:
            await happen(bus, "live")
            assert await ear.titles(1) == ["live"], unknown


async def test_an_id_whose_followers_have_aged_out_of_the_stream_starts_live(client, bus, settings):
    async with listening(client) as ear:
        await happen(bus, "a", "b", "c")
        first = await ear.next()
    await bus.js.purge_stream("TICKETING", keep=1)
    async with serve_app(create(settings)) as restarted, listening(restarted, first.id) as ear:
        await happen(bus, "live")
        assert await ear.titles(1) == ["live"]


async def test_a_page_may_name_its_position_and_a_browsers_own_is_newer(client, bus):
    async with listening(client) as ear:
        await happen(bus, "a", "b", "c")
        first, second = await ear.next(), await ear.next()
    async with listening(client, query=first.id) as ear:
        assert await ear.titles(2) == ["b", "c"]
    async with listening(client, second.id, query=first.id) as ear:
        assert await ear.titles(1) == ["c"]


async def test_the_answers_about_tickets_say_from_where_the_events_lead_on(client, bus):
    offered = await client.post("/api/tickets", json={"title": "a", "price": 5}, headers=session(new_user()))
    await reads(client)
    for url in ("/api/tickets", f"/api/tickets/{offered.json()['id']}"):
        position = (await client.get(url)).headers["Last-Event-ID"]
        await happen(bus, url)
        async with listening(client, query=position) as ear:
            while await ear.titles(1) != [url]:
                pass


async def test_an_idle_listener_hears_a_heartbeat(client, monkeypatch):
    monkeypatch.setattr(feed, "HEARTBEAT", 0.1)
    async with listening(client) as ear:
        begun = time.monotonic()
        lines = [await ear.line() for _ in range(20)]
        assert 0.3 < time.monotonic() - begun < 3
        assert lines.count(":") > 5


async def test_the_stream_is_described_and_other_methods_are_not_its(client):
    schema = (await client.get("/api/tickets/openapi.json")).json()["paths"][URL]["get"]
    assert "text/event-stream" in schema["responses"]["200"]["content"]
    assert {(p["in"], p["name"]) for p in schema["parameters"]} == {
        ("header", "last-event-id"),
        ("query", "lastEventId"),
    }
    for method in ("POST", "HEAD"):
        assert (await client.request(method, URL)).status_code == 405


async def test_a_client_that_goes_frees_its_listener(client):
    async def count(wanted):
        return await listeners(client) == wanted

    async with listening(client), listening(client):
        await wait_until(lambda: count(2))
    await wait_until(lambda: count(0), 2)


async def test_open_streams_end_when_the_server_is_told_to_stop(settings, bus):
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(serve_app(create(settings)))
        async with httpx.AsyncClient(base_url=http.base_url) as client, listening(client) as ear:
            stopping = asyncio.create_task(stack.aclose())
            begun = time.monotonic()
            await ear.ended()  # in good order: an answer cut off would raise
            await stopping
            assert time.monotonic() - begun < 2


@asynccontextmanager
async def small_buffers(app):
    """The app behind sockets that hold little, and a client that reads nothing unless it is told to."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    host, port = listener.getsockname()
    server = Server(uvicorn.Config(app, log_config=None))
    serving = asyncio.create_task(server._serve([listener]))
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    try:
        await wait_until(lambda: _done(server.started))
        await asyncio.get_running_loop().sock_connect(client, (host, port))
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as http:
            yield http, client
    finally:
        client.close()
        server.should_exit = True
        await serving


async def test_one_who_takes_nothing_is_cut_off_and_comes_back_without_a_gap(settings, bus, monkeypatch):
    monkeypatch.setattr(sse, "_PATIENCE", 0.2)
    monkeypatch.setattr(feed, "RECENT", 50)
    loop = asyncio.get_running_loop()
    async with small_buffers(create(settings)) as (http, slow):
        await loop.sock_sendall(slow, f"GET {URL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        async def open_streams(wanted):
            return await listeners(http) == wanted

        await wait_until(lambda: open_streams(1))
        titles = [f"{i:0200}" for i in range(400)]
        async with asyncio.TaskGroup() as group:
            for i in range(8):
                group.create_task(happen(bus, *titles[i::8]))
        await wait_until(lambda: open_streams(0))
        heard = (await loop.sock_recv(slow, 4096)).decode().split("\n\n")[:-1]  # the last is cut
        told = [
            json.loads(line[6:])["title"] for each in heard for line in each.split("\n") if "data: " in line
        ]
        last = re.findall("id: (.*)", heard[-1])[0]
        assert 0 < len(told) < 400
        async with listening(http, last) as ear:
            told += await ear.titles(400 - len(told))
        assert sorted(told) == titles


@pytest.fixture
def own_nats(tmp_path):
    """A NATS that a test may kill."""
    return nats_server(free_port(), tmp_path)


@pytest.fixture
def app(settings, own_nats, database, monkeypatch):
    monkeypatch.setattr(feed, "HEARTBEAT", 0.1)
    return create(settings.model_copy(update={"nats_url": own_nats.url}))


async def killed(process, ear):
    """Kill NATS, and see that the listener is kept meanwhile."""
    process.kill()
    process.wait()
    while await ear.line() != ":":
        pass


async def answering(bus):
    """Wait until a NATS that was just started serves its stream."""

    async def asked():
        try:
            return await bus.stream()
        except Exception:
            return None

    await wait_until(asked)


async def test_nats_may_be_killed_and_comes_back_while_one_listens(app, own_nats):
    with running(own_nats) as process:
        async with (
            serve_app(app) as http,
            connected(own_nats.url, "test") as bus,
            listening(http) as ear,
        ):
            await happen(bus, "before")
            before = await ear.next()
            await killed(process, ear)
            with running(own_nats):
                await answering(bus)
                await happen(bus, "after", "and after")
                assert await ear.titles(2) == ["after", "and after"]
                async with listening(http, before.id) as again:
                    assert await again.titles(2) == ["after", "and after"]


async def test_a_nats_that_lost_all_is_read_from_its_new_start(app, own_nats, tmp_path):
    with running(own_nats) as process:
        async with serve_app(app) as http, connected(own_nats.url, "test") as bus, listening(http) as ear:
            await happen(bus, "a", "b")
            assert await ear.titles(2) == ["a", "b"]
            old = ear.last_id
            await killed(process, ear)
            shutil.rmtree(tmp_path / "nats")
            with running(nats_server(own_nats.port, tmp_path)):
                await answering(bus)
                await happen(bus, "c", "d")
                assert await ear.titles(2) == ["c", "d"]
                async with listening(http, old) as again:  # this replica remembers what came after it
                    assert await again.titles(2) == ["c", "d"]
                async with serve_app(app) as restarted, listening(restarted, old) as again:
                    await happen(bus, "e")
                    assert (await again.titles(1))[0] in ("c", "e")


async def test_an_older_copy_of_the_stream_ends_all_answers(app, own_nats, tmp_path):
    with running(own_nats):
        async with connected(own_nats.url, "test"):
            pass
    shutil.copytree(tmp_path / "nats", tmp_path / "copy")
    with running(own_nats) as process:
        async with serve_app(app) as http, connected(own_nats.url, "test") as bus, listening(http) as ear:
            await happen(bus, "lost", "lost too")
            assert await ear.titles(2) == ["lost", "lost too"]
            await killed(process, ear)
            shutil.rmtree(tmp_path / "nats")
            shutil.move(tmp_path / "copy", tmp_path / "nats")
            with running(own_nats):
                await ear.ended()
                async with listening(http, ear.last_id) as again:
                    await happen(bus, "new")
                    assert await again.titles(1) == ["new"]


async def test_nats_may_be_down_at_the_start(app, own_nats):
    async with serve_app(app) as http:
        answer = await http.get("/api/tickets")
        assert answer.status_code == 200
        assert "Last-Event-ID" not in answer.headers
        async with listening(http) as live, listening(http, "1-1") as unknown:
            while await live.line() != ":":
                pass
            with running(own_nats):
                async with connected(own_nats.url, "test") as bus:
                    await happen(bus, "at last")
                    assert await live.titles(1) == await unknown.titles(1) == ["at last"]


async def test_what_happened_before_the_process_began_is_no_news(bus, nats_url):
    await happen(bus, "yesterday")
    await asyncio.sleep(0.01)  # our clock counts whole milliseconds
    own = Bus(nats_url, "tickets")
    young = Feed(own)
    chunks = young.listen(None)  # before anything was read
    await happen(bus, "while it starts")
    stopping = asyncio.Event()
    job = asyncio.create_task(young.run(stopping))
    told = b""
    while b"data: " not in told:
        told += await asyncio.wait_for(anext(chunks), 5)
    assert b"while it starts" in told
    assert b"yesterday" not in told
    await chunks.aclose()
    stopping.set()
    await asyncio.wait_for(job, 2)
    await own.close()


async def test_a_burst_is_told_within_a_second_or_so(client, bus):
    events = [
        TicketCreated(id=new_id(), version=0, title="a", price=Decimal(1), user_id="u") for _ in range(1000)
    ]
    async with listening(client) as ear:
        begun = time.monotonic()
        publishing = asyncio.gather(*(bus.publish(event) for event in events))
        heard = [(await ear.next()).data["id"] for _ in events]
        assert time.monotonic() - begun < 5
        await publishing
    assert sorted(heard) == sorted(event.id for event in events)
