"""The live feed while NATS is down, restarted, restored from a copy, or empty after a loss."""

import shutil

import pytest

from ticketing_common.messaging.bus import open_bus
from ticketing_common.testing import serve_app, wait_until
from ticketing_common.testing.servers import free_port, nats_server, running
from tickets import feed
from tickets.main import create


@pytest.fixture
def own_nats(tmp_path):
    """A NATS server that a test may kill."""
    return nats_server(free_port(), tmp_path)


@pytest.fixture
def app(settings, own_nats, database, monkeypatch):
    monkeypatch.setattr(feed, "HEARTBEAT_SECONDS", 0.1)
    return create(settings.model_copy(update={"nats_url": own_nats.url}))


async def kill(process, listener):
    """Kill NATS, and wait for a heartbeat: the listener stays open_bus."""
    process.kill()
    process.wait()
    await listener.wait_for_heartbeat()


async def wait_until_stream_is_available(bus):
    async def stream():
        try:
            return await bus.stream_info()
        except Exception:
            return None

    await wait_until(stream)


async def test_listener_misses_nothing_when_nats_is_killed_and_restarted(app, own_nats, listen, update):
    with running(own_nats) as process:
        async with (
            serve_app(app) as http,
            open_bus(own_nats.url, "test") as bus,
            listen(http) as listener,
        ):
            await update(bus, "before")
            before = await listener.next_event()
            await kill(process, listener)
            with running(own_nats):
                await wait_until_stream_is_available(bus)
                await update(bus, "after", "and after")
                assert await listener.next_titles(2) == ["after", "and after"]
                async with listen(http, before.id) as resumed:
                    assert await resumed.next_titles(2) == ["after", "and after"]


async def test_new_stream_after_a_loss_of_nats_is_read_from_its_start(
    app, own_nats, tmp_path, listen, update
):
    with running(own_nats) as process:
        async with (
            serve_app(app) as http,
            open_bus(own_nats.url, "test") as bus,
            listen(http) as listener,
        ):
            await update(bus, "a", "b")
            assert await listener.next_titles(2) == ["a", "b"]
            old_id = listener.last_id
            await kill(process, listener)
            shutil.rmtree(tmp_path / "nats")
            with running(nats_server(own_nats.port, tmp_path)):
                await wait_until_stream_is_available(bus)
                await update(bus, "c", "d")
                assert await listener.next_titles(2) == ["c", "d"]
                async with listen(http, old_id) as resumed:  # this replica keeps the events of both streams
                    assert await resumed.next_titles(2) == ["c", "d"]
                async with serve_app(app) as restarted, listen(restarted, old_id) as resumed:
                    await update(bus, "e")
                    assert (await resumed.next_titles(1))[0] in ("c", "e")


async def test_all_streams_end_when_an_older_copy_of_nats_is_restored(
    app, own_nats, tmp_path, listen, update
):
    with running(own_nats):
        async with open_bus(own_nats.url, "test"):
            pass
    shutil.copytree(tmp_path / "nats", tmp_path / "copy")
    with running(own_nats) as process:
        async with (
            serve_app(app) as http,
            open_bus(own_nats.url, "test") as bus,
            listen(http) as listener,
        ):
            await update(bus, "lost", "lost too")
            assert await listener.next_titles(2) == ["lost", "lost too"]
            await kill(process, listener)
            shutil.rmtree(tmp_path / "nats")
            shutil.move(tmp_path / "copy", tmp_path / "nats")
            with running(own_nats):
                await listener.wait_for_end()
                async with listen(http, listener.last_id) as resumed:
                    await update(bus, "new")
                    assert await resumed.next_titles(1) == ["new"]


async def test_listeners_connect_and_wait_while_nats_is_down_at_the_start(app, own_nats, listen, update):
    async with serve_app(app) as http:
        response = await http.get("/api/tickets")
        assert response.status_code == 200
        assert "Last-Event-ID" not in response.headers
        async with listen(http) as live, listen(http, "1-1") as unknown:
            await live.wait_for_heartbeat()
            with running(own_nats):
                async with open_bus(own_nats.url, "test") as bus:
                    await update(bus, "at last")
                    assert await live.next_titles(1) == await unknown.next_titles(1) == ["at last"]
