"""Where a stream of the live feed starts: it resumes after Last-Event-ID, otherwise it starts live."""

import asyncio

from ticketing_common.messaging.bus import Bus
from ticketing_common.testing import new_user, serve_app, session, wait_until
from tickets.feed import Feed
from tickets.main import create


async def wait_until_stream_is_read(http):
    """Before that, the feed sends everything that was published after the process started."""

    async def position():
        return (await http.get("/api/tickets")).headers.get("Last-Event-ID")

    return await wait_until(position)


async def test_reconnecting_listener_misses_nothing(client, bus, listen, update):
    async with listen(client) as listener:
        await update(bus, "a", "b")
        first = await listener.next_event()
    await update(bus, "c")
    async with listen(client, first.id) as listener:
        assert await listener.next_titles(2) == ["b", "c"]


async def test_listener_disconnected_before_its_first_event_misses_nothing(client, bus, listen, update):
    async with listen(client) as listener:
        while not (line := await listener.next_line()).startswith("id: "):
            pass
    await update(bus, "meanwhile")
    async with listen(client, line.removeprefix("id: ")) as listener:
        assert await listener.next_titles(1) == ["meanwhile"]


async def test_events_that_the_feed_no_longer_keeps_are_read_from_the_stream(
    client, bus, listen, update, monkeypatch
):
    monkeypatch.setattr("tickets.feed.MAX_RECENT", 5)
    monkeypatch.setattr("tickets.feed._BATCH", 7)
    async with listen(client) as listener:
        await update(bus, "first")
        first = await listener.next_event()
    titles = [str(i) for i in range(40)]
    await update(bus, *titles)
    async with listen(client, first.id) as listener:
        assert await listener.next_titles(40) == titles
        await update(bus, "live")
        assert await listener.next_titles(1) == ["live"]


async def test_listener_resumes_at_another_replica_and_after_a_restart(client, bus, settings, listen, update):
    async with (
        serve_app(create(settings)) as other,
        listen(client) as listener,
        listen(other) as other_listener,
    ):
        await update(bus, "a", "b")
        first = await listener.next_event()
        assert (await other_listener.next_event()).id == first.id
        async with listen(other, first.id) as resumed:
            assert await resumed.next_titles(1) == ["b"]
    async with serve_app(create(settings)) as restarted, listen(restarted, first.id) as resumed:
        assert await resumed.next_titles(1) == ["b"]


async def test_replica_that_has_not_read_the_requested_id_yet_resumes_there(
    client, bus, listen, update, monkeypatch
):
    append = Feed._append
    delayed = []
    async with listen(client) as listener:
        await update(bus, "a")
        position = (await listener.next_event()).id
    monkeypatch.setattr(Feed, "_append", lambda self, *read: delayed.append((self, *read)))
    await update(bus, "sent by another replica", "next")
    created_at, _, sequence = position.partition("-")

    async def both_are_read():
        return sum(len(messages) for _feed, _position, messages in delayed) == 2

    async with listen(client, f"{created_at}-{int(sequence) + 1}") as listener:
        await wait_until(both_are_read)
        monkeypatch.undo()
        for read in delayed:
            append(*read)
        assert await listener.next_titles(1) == ["next"]


async def test_stream_with_an_unknown_id_starts_live(client, bus, listen, update):
    await wait_until_stream_is_read(client)
    await update(bus, "before")
    created_at = f"{int((await bus.stream_info()).created.timestamp() * 1000):x}"
    future, purged = f"{created_at}-999999999", f"{created_at}-0"
    for unknown in ("0", "nonsense", "999999999", "", "1-1", "-", future, purged, b"\xff", "9" * 5000):
        async with listen(client, unknown) as listener:
            await update(bus, "live")
            assert await listener.next_titles(1) == ["live"], unknown


async def test_stream_starts_live_if_the_events_after_its_id_were_deleted(
    client, bus, settings, listen, update
):
    async with listen(client) as listener:
        await update(bus, "a", "b", "c")
        first = await listener.next_event()
    await bus.js.purge_stream("TICKETING", keep=1)
    async with serve_app(create(settings)) as restarted, listen(restarted, first.id) as listener:
        await update(bus, "live")
        assert await listener.next_titles(1) == ["live"]


async def test_last_event_id_header_takes_precedence_over_the_query_parameter(client, bus, listen, update):
    async with listen(client) as listener:
        await update(bus, "a", "b", "c")
        first, second = await listener.next_event(), await listener.next_event()
    async with listen(client, query=first.id) as listener:
        assert await listener.next_titles(2) == ["b", "c"]
    async with listen(client, second.id, query=first.id) as listener:
        assert await listener.next_titles(1) == ["c"]


async def test_stream_continues_from_a_response_about_tickets_without_a_gap(client, bus, listen, update):
    listed = await client.post("/api/tickets", json={"title": "a", "price": 5}, headers=session(new_user()))
    await wait_until_stream_is_read(client)
    for url in ("/api/tickets", f"/api/tickets/{listed.json()['id']}"):
        position = (await client.get(url)).headers["Last-Event-ID"]
        await update(bus, url)
        async with listen(client, query=position) as listener:
            while await listener.next_titles(1) != [url]:
                pass


async def test_listener_before_the_first_read_receives_only_events_since_the_process_started(
    bus, nats_url, update
):
    await update(bus, "before the start")
    await asyncio.sleep(0.01)  # our clock counts whole milliseconds
    own_bus = Bus(nats_url, "tickets")
    new_feed = Feed(own_bus)
    chunks = new_feed.subscribe(None)
    await update(bus, "after the start")
    stopping = asyncio.Event()
    job = asyncio.create_task(new_feed.run(stopping))
    received = b""
    while b"data: " not in received:
        received += await asyncio.wait_for(anext(chunks), 5)
    assert b"after the start" in received
    assert b"before the start" not in received
    await chunks.aclose()
    stopping.set()
    await asyncio.wait_for(job, 2)
    await own_bus.close()
