"""No secret is logged when any route of any service succeeds, rejects a request or crashes."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from nightly_cases import nightly
from pydantic import BaseModel
from pymongo import MongoClient
from pymongo.collection import Collection
from starlette.routing import Route

import auth.config
import auth.main
import client.config
import client.main
import expiration.config
import expiration.main
import expiration.worker
import orders.config
import orders.main
import payments.config
import payments.main
import tickets.config
import tickets.main
from ticketing_common.http.sessions import User, encode_token
from ticketing_common.testing import serve_app
from ticketing_common.testing.servers import free_port

EMAIL = "margarethe.sommer@postfach.example"
PASSWORD = "Fliederbusch-7261-im-Garten"
CARD = "4242424242424242"
TOKEN = "tok_margarethe0123456789"
COOKIE = "no-session-at-all-8842"
DEVICE = "device-of-margarethe-5517"
JWT_KEY = "signing-key-of-the-log-test-0123456789"
WEBHOOK_SECRET = "whsec_logtest0123456789"
SESSION = encode_token(User("5" * 24, EMAIL), [JWT_KEY])
LINK = "verification-5b1f9c77"
SECRETS = [EMAIL, PASSWORD, CARD, TOKEN, COOKIE, DEVICE, JWT_KEY, WEBHOOK_SECRET, SESSION, LINK]

OLD_ID = "5" * 24
"""An id of 2015, so that no request waits for the event that creates the document."""
BODY = {
    "email": EMAIL,
    "password": PASSWORD,
    "current": PASSWORD,
    "title": f"Seat {CARD}",
    "price": 20,
    "ticketId": OLD_ID,
    "orderId": EMAIL,
    "token": TOKEN,
}
JSON = {"content-type": "application/json"}
BODIES: list[dict[str, Any]] = [
    {"json": BODY},
    {"json": {name: {"within": value} for name, value in BODY.items()}},
    {"json": BODY | {"email": PASSWORD, "password": "short", "token": PASSWORD}},
    {"json": [PASSWORD, EMAIL]},
    {"content": json.dumps(BODY)[:-1], "headers": JSON},
    {"data": BODY},
]
COOKIES = [f"session={SESSION}; device={DEVICE}", f"device={DEVICE}; session={COOKIE}"]
PATH_VALUES = [OLD_ID, EMAIL, CARD, SESSION, TOKEN]

APPS: dict[str, tuple[type[BaseModel], Callable[[Any], FastAPI]]] = {
    "auth": (auth.config.Settings, auth.main.create),
    "tickets": (tickets.config.Settings, tickets.main.create),
    "orders": (orders.config.Settings, orders.main.create),
    "payments": (payments.config.Settings, payments.main.create),
    "expiration": (expiration.config.Settings, expiration.main.create),
    "worker": (expiration.config.Settings, expiration.worker.create),
    "client": (client.config.Settings, client.main.create),
}


class Broken:
    """Replaces a dependency of a service, and fails with all secrets in the text of the error."""

    def __getattr__(self, name: str) -> Any:
        body = {name: value for name, value in BODY.items() if name != "current"}  # unknown to the redaction
        raise RuntimeError(
            f'dup key: {{ email: "{EMAIL}" }} {body!r} {json.dumps(body)} Cookie: {COOKIES[0]}\n{SESSION}'
            f" {WEBHOOK_SECRET} {JWT_KEY} Authorization: Bearer {LINK} /auth/verify?token={LINK}"
        )


@pytest.fixture(params=APPS)
def app(request, log_format, mongo_uri, nats_url, redis_url, stripe_api, monkeypatch) -> Iterator[FastAPI]:
    settings, create = APPS[request.param]
    unreachable = f"http://127.0.0.1:{free_port()}"
    environment = {
        "mongo_uri": mongo_uri,
        "nats_url": nats_url,
        "redis_url": redis_url,
        "jwt_key": JWT_KEY,
        "stripe_key": stripe_api.key,
        "stripe_webhook_secret": WEBHOOK_SECRET,
        "stripe_publishable_key": "pk_test_1",
        "stripe_api_base": stripe_api.url,
        "log_format": log_format,
        "log_level": "debug",
        **{f"{name}_url": unreachable for name in ("auth", "tickets", "orders", "payments")},
    }
    monkeypatch.setenv("FORCE_COLOR", "1")
    yield create(
        settings.model_validate(
            {name: environment[name] for name in settings.model_fields if name in environment}
        )
    )
    mongo: MongoClient[dict[str, Any]]
    with MongoClient(mongo_uri) as mongo:
        mongo.drop_database(mongo.get_default_database().name)


@pytest.mark.parametrize("log_format", ["json", *nightly("console")])
async def test_no_route_logs_a_secret_even_if_it_crashes(app, stripe_api, log_format, capsys):
    async with serve_app(app) as http:
        called = [(method, path) async for method, path in _call_every_route(app, http)]
        dependencies = [name for name in app.state._state if name not in ("settings", "draining")]
        for name in dependencies:
            setattr(app.state, name, Broken())
        called += [(method, path) async for method, path in _call_every_route(app, http)]
    logged = "".join(capsys.readouterr())
    for method, path in called:
        assert method in logged, method
        assert path.partition("{")[0] in logged, path
    assert ("request failed" in logged) == bool(dependencies)
    for secret in [*SECRETS, stripe_api.key]:
        assert secret not in logged, _around(secret, logged)
    if log_format == "json":
        assert all(json.loads(line) for line in logged.splitlines())


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("app", ["auth"], indirect=True)
async def test_damaged_account_does_not_reveal_its_password(app, mongo_uri, log_format, capsys):
    async with serve_app(app) as http:
        account = {"email": EMAIL, "password": PASSWORD}
        assert (await http.post("/api/users/signup", json=account)).status_code == 201
        damaged_hashes: list[Any] = ["damaged", {"hash of": PASSWORD, "email": EMAIL}]
        mongo: MongoClient[dict[str, Any]]
        with MongoClient(mongo_uri) as mongo:
            for damaged_hash in damaged_hashes:
                accounts: Collection[Any] = mongo.get_default_database()["accounts"]
                accounts.update_many({}, {"$set": {"password_hash": damaged_hash}})
                response = await http.post("/api/users/signin", json=account, headers={"cookie": COOKIES[1]})
                assert response.status_code == 500
    logged = "".join(capsys.readouterr())
    assert "request failed" in logged
    for secret in SECRETS:
        assert secret not in logged, _around(secret, logged)


async def _call_every_route(app: FastAPI, http: httpx.AsyncClient) -> AsyncIterator[tuple[str, str]]:
    """Calls each route with every body, cookie and path parameter. Yields the methods and paths."""
    for route in app.routes:
        if not isinstance(route, Route):
            continue
        for method in sorted(route.methods or ()):
            yield method, route.path
            bodies = BODIES if method in ("POST", "PUT", "PATCH") else [{}]
            values = PATH_VALUES if "{" in route.path else [""]
            for body, cookie, value in (
                *((body, COOKIES[0], values[0]) for body in bodies),
                *((bodies[0], cookie, value) for cookie in COOKIES for value in values),
            ):
                await _call(http, method, route, value, cookie, body)


async def _call(
    http: httpx.AsyncClient, method: str, route: Route, value: str, cookie: str, body: dict[str, Any]
) -> None:
    path = route.url_path_for(route.name, **dict.fromkeys(route.param_convertors, value))
    headers = {
        "Cookie": cookie,
        "Authorization": f"Bearer {LINK}",
        "Stripe-Signature": f"t=1,v1={LINK}",
        **body.get("headers", {}),
    }
    http.cookies.clear()  # an earlier sign-in has set one
    url = f"{path}?token={LINK}&q={CARD}"
    # Does not read the body: a stream of events has no end.
    async with http.stream(method, url, **{**body, "headers": headers}):
        pass


def _around(secret: str, logged: str) -> str:
    at = logged.index(secret)
    return logged[max(0, at - 300) : at + 100]
