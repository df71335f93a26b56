"""No secret reaches a log: every route of every service is called with marked secrets, and crashes."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pymongo import MongoClient
from starlette.routing import Route

import auth.main
import client.main
import expiration.main
import expiration.worker
import orders.main
import payments.main
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
"""Of 2015: nobody waits for the event that creates what it names."""
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
IN_PATHS = [OLD_ID, EMAIL, CARD, SESSION, TOKEN]

APPS: dict[str, tuple[type, Callable[[Any], FastAPI]]] = {
    "auth": (auth.main.Settings, auth.main.create),
    "tickets": (tickets.main.Settings, tickets.main.create),
    "orders": (orders.main.Settings, orders.main.create),
    "payments": (payments.main.Settings, payments.main.create),
    "expiration": (expiration.main.Settings, expiration.main.create),
    "worker": (expiration.worker.Settings, expiration.worker.create),
    "client": (client.main.Settings, client.main.create),
}


class Broken:
    """Stands for a part of a service that fails with everything in the text of its error."""

    def __getattr__(self, name: str) -> Any:
        body = {name: value for name, value in BODY.items() if name != "current"}  # as a field `password` is
        raise RuntimeError(
            f'dup key: {{ email: "{EMAIL}" }} {body!r} {json.dumps(body)} Cookie: {COOKIES[0]}\n{SESSION}'
            f" {WEBHOOK_SECRET} {JWT_KEY} Authorization: Bearer {LINK} /auth/verify?token={LINK}"
        )


@pytest.fixture(params=APPS)
def app(request, log_format, mongo_uri, nats_url, redis_url, stripe_api, monkeypatch) -> Iterator[FastAPI]:
    kind, create = APPS[request.param]
    nobody = f"http://127.0.0.1:{free_port()}"
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
        **{f"{name}_url": nobody for name in ("auth", "tickets", "orders", "payments")},
    }
    monkeypatch.setenv("FORCE_COLOR", "1")
    yield create(kind(**{name: value for name, value in environment.items() if name in kind.model_fields}))
    with MongoClient(mongo_uri) as mongo:
        mongo.drop_database(mongo.get_default_database().name)


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_route_writes_a_secret_even_if_it_crashes(app, stripe_api, log_format, capsys):
    async with serve_app(app) as http:
        called = [(method, path) async for method, path in _call_every_route(app, http)]
        parts = [name for name in app.state._state if name not in ("settings", "draining")]
        for name in parts:
            setattr(app.state, name, Broken())
        called += [(method, path) async for method, path in _call_every_route(app, http)]
    written = "".join(capsys.readouterr())
    for method, path in called:
        assert method in written, method
        assert path.partition("{")[0] in written, path
    assert ("request failed" in written) == bool(parts)
    for secret in [*SECRETS, stripe_api.key]:
        assert secret not in written, _around(secret, written)
    if log_format == "json":
        assert all(json.loads(line) for line in written.splitlines())


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("app", ["auth"], indirect=True)
async def test_damaged_account_does_not_reveal_the_password(app, mongo_uri, log_format, capsys):
    async with serve_app(app) as http:
        account = {"email": EMAIL, "password": PASSWORD}
        assert (await http.post("/api/users/signup", json=account)).status_code == 201
        damages: list[Any] = ["damaged", {"hash of": PASSWORD, "email": EMAIL}]
        with MongoClient(mongo_uri) as mongo:
            for damage in damages:
                accounts = mongo.get_default_database()["accounts"]
                accounts.update_many({}, {"$set": {"password_hash": damage}})
                answer = await http.post("/api/users/signin", json=account, headers={"cookie": COOKIES[1]})
                assert answer.status_code == 500
    written = "".join(capsys.readouterr())
    assert "request failed" in written
    for secret in SECRETS:
        assert secret not in written, _around(secret, written)


async def _call_every_route(app: FastAPI, http: httpx.AsyncClient) -> AsyncIterator[tuple[str, str]]:
    """Calls each with every body, cookie and parameter; yields the methods and paths."""
    for route in app.routes:
        if not isinstance(route, Route):
            continue
        for method in sorted(route.methods or ()):
            yield method, route.path
            bodies = BODIES if method in ("POST", "PUT", "PATCH") else [{}]
            values = IN_PATHS if "{" in route.path else [""]
            for body, cookie, value in (
                *((body, COOKIES[0], values[0]) for body in bodies),
                *((bodies[0], cookie, value) for cookie in COOKIES for value in values),
            ):
                await _call(http, method, route, value, cookie, body)


async def _call(
    http: httpx.AsyncClient, method: str, route: Route, value: str, cookie: str, more: dict[str, Any]
) -> None:
    path = route.url_path_for(route.name, **dict.fromkeys(route.param_convertors, value))
    headers = {
        "Cookie": cookie,
        "Authorization": f"Bearer {LINK}",
        "Stripe-Signature": f"t=1,v1={LINK}",
        **more.get("headers", {}),
    }
    http.cookies.clear()  # a encode_token-in has set one
    url = f"{path}?token={LINK}&q={CARD}"
    # Only the beginning of the answer is read: a stream of events has no end.
    async with http.stream(method, url, **{**more, "headers": headers}):
        pass


def _around(secret: str, written: str) -> str:
    at = written.index(secret)
    return written[max(0, at - 300) : at + 100]
