"""What every app has around its routes: error shape, limits, origin check, ids, health, metrics, jobs."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

import httpx
import pytest
import pytest_asyncio
from fastapi import Query
from fastapi.responses import StreamingResponse
from prometheus_client import REGISTRY
from pymongo.errors import ServerSelectionTimeoutError

from ticketing_common import background
from ticketing_common.config import SessionSettings
from ticketing_common.http import app as app_module
from ticketing_common.http import middleware
from ticketing_common.http.app import api_router, create_app
from ticketing_common.http.sessions import CurrentUser
from ticketing_common.testing import JWT_KEY, new_user, serve_app, session, wait_until
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
async def delete(name: str) -> None:
    pass


@router.get("/broken")
async def broken() -> None:
    raise RuntimeError("mongodb://secret-host/")


@router.get("/interrupted")
async def interrupted() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"the first part"
        raise RuntimeError("mongodb://secret-host/")

    return StreamingResponse(body())


@router.get("/down")
async def down() -> None:
    raise ServerSelectionTimeoutError("secret-host:27017 refused")


async def fail_check() -> None:
    raise OSError


async def pass_check() -> None:
    return


@pytest_asyncio.fixture
async def client() -> Any:
    settings = SessionSettings(jwt_key=JWT_KEY)
    app = create_app("notes", settings, router=router, checks={"mongo": pass_check, "nats": fail_check})
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
async def test_every_error_has_the_same_shape_and_a_request_id(client, method, path, status):
    answer = await client.request(method, path)
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert error["message"]
    assert None not in error.values()
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"]
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_response_to_an_unsupported_method_lists_the_supported_ones(client):
    for method in ("PATCH", "OPTIONS"):
        assert (await client.request(method, "/notes")).headers["allow"] == "GET, POST"
        assert (await client.request(method, "/notes/1")).headers["allow"] == "DELETE"
        assert (await client.request(method, "/notes/docs")).headers["allow"] == "GET, HEAD"


async def test_request_id_of_the_client_is_kept_if_it_is_well_formed(client):
    kept = await client.get("/notes", headers={"x-request-id": "abc-1"})
    assert kept.headers["x-request-id"] == "abc-1"
    replaced = await client.get("/notes", headers={"x-request-id": "a b\tc" * 50})
    assert replaced.headers["x-request-id"] != "a b\tc" * 50


async def test_body_that_does_not_arrive_in_time_is_408_and_its_connection_is_closed(client, monkeypatch):
    monkeypatch.setattr(middleware, "_BODY_TIMEOUT", 0.2)

    async def chunks():
        yield b'{"text": '
        await asyncio.sleep(0.5)

    response = await client.post("/notes", content=chunks(), headers=HEADERS)
    assert response.status_code == 408
    assert response.json()["errors"] == [{"message": "The request body did not arrive in time"}]
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("chunked", [False, True])
async def test_body_over_64_kib_is_rejected_before_the_session_is_checked(client, chunked):
    async def chunks():
        for _ in range(70):
            yield b"x" * 1024

    body: Any = chunks() if chunked else b"x" * (64 * 1024 + 1)
    assert (await client.post("/notes", content=body)).status_code == 413
    fits = b'{"text": "' + b"x" * (64 * 1024 - 12) + b'"}'
    assert len(fits) == 64 * 1024
    assert (await client.post("/notes", content=fits, headers=HEADERS)).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 200), ("same", 200), ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1", 403)],
)
async def test_state_changing_request_from_another_origin_is_rejected(client, origin, status):
    own = str(client.base_url).rstrip("/")
    headers = HEADERS | ({} if origin is None else {"origin": own if origin == "same" else origin})
    assert (await client.post("/notes", json={"text": "x"}, headers=headers)).status_code == status
    assert (await client.get("/notes", headers=headers)).status_code == 200


async def test_readiness_and_metrics_show_the_state_of_each_dependency(client):
    assert (await client.get("/healthz")).status_code == 200
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"mongo": "up", "nats": "down"})
    metrics = (await client.get("/metrics")).text
    assert 'ticketing_dependency_up{dependency="nats"} 0.0' in metrics
    await client.get("/notes")
    assert 'route="/notes"' in (await client.get("/metrics")).text


async def test_each_scrape_checks_the_dependencies():
    check = fail_check
    app = create_app("scraped", SessionSettings(jwt_key=JWT_KEY), checks={"disk": lambda: check()})
    async with serve_app(app) as client:
        assert 'ticketing_dependency_up{dependency="disk"} 0.0' in (await client.get("/metrics")).text
        check = pass_check
        assert 'ticketing_dependency_up{dependency="disk"} 1.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_health_and_metrics_are_not_found_through_a_proxy(client, path, header):
    answer = await client.get(path, headers={header: "for=192.0.2.1"})
    assert answer.status_code == 404
    assert answer.json() == {"errors": [{"message": "Not Found"}]}


async def test_openapi_schema_contains_the_shape_of_errors(client):
    schema = (await client.get("/notes/openapi.json")).json()
    responses = schema["paths"]["/notes"]["post"]["responses"]
    assert "422" not in responses
    assert responses["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")
    detail = schema["components"]["schemas"]["ErrorDetail"]
    assert {name: each["type"] for name, each in detail["properties"].items()} == {
        "message": "string",
        "field": "string",
        "code": "string",
    }
    assert detail["required"] == ["message"]
    assert (await client.get("/notes/docs")).status_code == 200


@pytest.mark.parametrize("wrap", [lambda job: job, partial])
async def test_failing_job_is_restarted_and_counted_by_its_name(monkeypatch, wrap):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 0.01)
    starts = []

    async def consume(stopping: asyncio.Event) -> None:
        starts.append(stopping)
        if len(starts) < 3:
            raise RuntimeError("a bug")
        await stopping.wait()

    def count_failures() -> float:
        labels = {"task": consume.__qualname__}
        return REGISTRY.get_sample_value("ticketing_background_job_failures_total", labels) or 0

    async def is_running() -> bool:
        return len(starts) == 3

    before = count_failures()
    async with serve_app(create_app("jobs", SessionSettings(jwt_key=JWT_KEY), jobs=[wrap(consume)])):
        await wait_until(is_running)
    assert starts[0].is_set()
    assert count_failures() - before == 2


async def test_response_that_fails_halfway_is_not_mistaken_for_a_whole_one(client):
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/notes/interrupted")
    assert (await client.get("/notes")).status_code == 200


async def test_app_starts_once_mongodb_answers():
    attempts = []

    async def ensure_indexes() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise ServerSelectionTimeoutError

    async with serve_app(create_app("notes", SessionSettings(jwt_key=JWT_KEY), prepare=[ensure_indexes])):
        assert len(attempts) == 3


async def test_job_that_does_not_stop_in_time_is_cancelled(monkeypatch):
    monkeypatch.setattr(app_module, "STOP_TIMEOUT", 0.1)
    cancelled = asyncio.Event()

    async def hang(_stopping: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serve_app(create_app("jobs", SessionSettings(jwt_key=JWT_KEY), jobs=[hang])):
        await asyncio.sleep(0.05)
    await asyncio.wait_for(cancelled.wait(), 1)
