"""What every app has around its routes: errors in one shape, limits, origin, ids, health, metrics."""

import asyncio
import time
from itertools import pairwise
from typing import Annotated, Any

import pytest
import pytest_asyncio
from fastapi import Query
from prometheus_client import REGISTRY
from pymongo.errors import ServerSelectionTimeoutError

from ticketing_common import background
from ticketing_common.config import SessionSettings, load_settings
from ticketing_common.http.app import _run, api_router, create_app
from ticketing_common.http.sessions import CurrentUser
from ticketing_common.testing import JWT_KEY, new_user, serve_app, session
from ticketing_common.values.wire import RequestBody


class Note(RequestBody):
    text: str


router = api_router("/notes", "notes")


@router.post("")
async def write(note: Note, user: CurrentUser) -> Note:
    return note


@router.get("")
async def read(limit: Annotated[int, Query(le=10)] = 1) -> list[int]:
    return [limit]


@router.delete("/{name}")
async def forget(name: str) -> None:
    pass


@router.get("/broken")
async def broken() -> None:
    raise RuntimeError("mongodb://secret-host/")


@router.get("/down")
async def down() -> None:
    raise ServerSelectionTimeoutError("secret-host:27017 refused")


async def _fails() -> None:
    raise OSError


async def _answers() -> None:
    return


@pytest_asyncio.fixture
async def client() -> Any:
    settings = SessionSettings(jwt_key=JWT_KEY)
    app = create_app("notes", settings, router=router, checks={"mongo": _answers, "nats": _fails})
    async with serve_app(app) as http:
        yield http


HEADERS = session(new_user()) | {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/unknown", 404),
        ("GET", "/notes/", 404),
        ("PATCH", "/notes", 405),
        ("POST", "/notes", 401),
        ("GET", "/notes?limit=11", 400),
        ("GET", "/notes/broken", 500),
        ("GET", "/notes/down", 503),
    ],
)
async def test_every_refusal_has_the_one_shape_and_an_id(client, method, path, status):
    answer = await client.request(method, path)
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert error["message"]
    assert None not in error.values()
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"]
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(client):
    for method in ("PATCH", "OPTIONS"):
        assert (await client.request(method, "/notes")).headers["allow"] == "GET, POST"
        assert (await client.request(method, "/notes/1")).headers["allow"] == "DELETE"
        assert (await client.request(method, "/notes/docs")).headers["allow"] == "GET, HEAD"


async def test_a_given_request_id_is_kept_when_it_is_harmless(client):
    kept = await client.get("/notes", headers={"x-request-id": "abc-1"})
    assert kept.headers["x-request-id"] == "abc-1"
    made = await client.get("/notes", headers={"x-request-id": "a b\tc" * 50})
    assert made.headers["x-request-id"] != "a b\tc" * 50


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_64_kib_is_413_before_the_session_is_asked(client, chunked):
    async def pieces():
        for _ in range(70):
            yield b"x" * 1024

    body: Any = pieces() if chunked else b"x" * (64 * 1024 + 1)
    assert (await client.post("/notes", content=body)).status_code == 413
    fits = b'{"text": "' + b"x" * (64 * 1024 - 12) + b'"}'
    assert len(fits) == 64 * 1024
    assert (await client.post("/notes", content=fits, headers=HEADERS)).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 200), ("same", 200), ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1", 403)],
)
async def test_another_sites_origin_may_change_nothing(client, origin, status):
    own = str(client.base_url).rstrip("/")
    headers = HEADERS | ({} if origin is None else {"origin": own if origin == "same" else origin})
    assert (await client.post("/notes", json={"text": "x"}, headers=headers)).status_code == status
    assert (await client.get("/notes", headers=headers)).status_code == 200


async def test_health_and_readiness_tell_of_each_dependency(client):
    assert (await client.get("/healthz")).status_code == 200
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"mongo": "up", "nats": "down"})
    metrics = (await client.get("/metrics")).text
    assert 'ticketing_dependency_up{dependency="nats"} 0.0' in metrics
    await client.get("/notes")
    assert 'route="/notes"' in (await client.get("/metrics")).text


async def test_each_scrape_asks_the_dependencies_anew():
    check = _fails
    app = create_app("scraped", SessionSettings(jwt_key=JWT_KEY), checks={"disk": lambda: check()})
    async with serve_app(app) as client:
        assert 'ticketing_dependency_up{dependency="disk"} 0.0' in (await client.get("/metrics")).text
        check = _answers
        assert 'ticketing_dependency_up{dependency="disk"} 1.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_what_is_for_the_cluster_is_unknown_to_who_comes_through_a_proxy(client, path, header):
    answer = await client.get(path, headers={header: "for=192.0.2.1"})
    assert answer.status_code == 404
    assert answer.json() == {"errors": [{"message": "Not Found"}]}


async def test_the_schema_states_the_error_shape(client):
    schema = (await client.get("/notes/openapi.json")).json()
    responses = schema["paths"]["/notes"]["post"]["responses"]
    assert "422" not in responses
    assert responses["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")
    detail = schema["components"]["schemas"]["ErrorDetail"]
    assert {name: told["type"] for name, told in detail["properties"].items()} == {
        "message": "string",
        "field": "string",
        "code": "string",
    }
    assert detail["required"] == ["message"]
    assert (await client.get("/notes/docs")).status_code == 200


def test_a_missing_setting_is_named_and_stops_the_start(monkeypatch, capsys):
    monkeypatch.setenv("JWT_KEY", " , ")
    with pytest.raises(SystemExit):
        load_settings(SessionSettings, "orders")
    assert "JWT_KEY" in capsys.readouterr().err


async def test_failing_job_is_restarted_with_back_off_and_counted(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 0.02)
    monkeypatch.setattr(background, "_LONGEST_BACK_OFF", 0.08)
    stopping, starts = asyncio.Event(), []

    async def follow(_stopping):
        starts.append(time.monotonic())
        if len(starts) == 5:
            stopping.set()
        raise RuntimeError("a bug")

    await asyncio.wait_for(_run(follow, stopping), 20)
    waited = [second - first for first, second in pairwise(starts)]
    assert all(actual >= least for actual, least in zip(waited, [0.02, 0.04, 0.08, 0.08], strict=True))
    assert (
        REGISTRY.get_sample_value("ticketing_background_job_failures_total", {"task": follow.__qualname__})
        == 5
    )


async def test_job_that_recovered_is_restarted_soon_after_its_next_failure(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 0.01)
    monkeypatch.setattr(background, "_LONGEST_BACK_OFF", 0.2)
    stopping, delays = asyncio.Event(), []
    monkeypatch.setattr(background.log, "exception", lambda *_, seconds, **__: delays.append(seconds))

    async def follow(_stopping):
        if len(delays) == 3:
            await asyncio.sleep(0.3)
        if len(delays) == 4:
            stopping.set()
        raise RuntimeError("a bug")

    await asyncio.wait_for(_run(follow, stopping), 20)
    assert delays[:4] == [0.01, 0.02, 0.04, 0.01]


async def test_stop_does_not_wait_for_the_restart_of_a_job(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 60.0)
    monkeypatch.setattr(background, "_LONGEST_BACK_OFF", 60.0)
    stopping = asyncio.Event()

    async def fail(_stopping):
        raise RuntimeError("a bug")

    running = asyncio.create_task(_run(fail, stopping))
    await asyncio.sleep(0.05)
    stopping.set()
    await asyncio.wait_for(running, 5)
