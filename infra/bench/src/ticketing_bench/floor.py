"""The floor: the least that could do each route's job, on the same store by the same driver.

A bare ASGI app, run by the same server with the same settings as the services. For each route it does the
one MongoDB operation that the route is about, and writes its answer with `json.dumps`. It leaves out what the
market's code costs: routing, validation, the session, logs, metrics, traces, the checks and the events. It
reads what the services keep, and writes into a database of its own, under the same indexes, documents as they
do, an event of about their size included.

Of an order the operation is the insert under the unique index, `/order`. But nobody can place an order
without reading the ticket's price: `/order-with-price` is the floor of both operations.

Below `/fastapi` the same is done in one route of FastAPI, which validates nothing: what it adds is the
framework's price, and the rest up to the market's is ours.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import uvicorn
from argon2.low_level import Type, verify_secret
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ticketing_common import mongo
from ticketing_common.clock import now

SHOWN = {"title": 1, "price_cents": 1, "user_id": 1, "version": 1, "order_id": 1}
_FRAMED = "/fastapi/"
_HASHING = ThreadPoolExecutor(2)
"""As many at once as the auth service allows."""

Work = Callable[[str, bytes], Awaitable[tuple[int, Any]]]
"""Of the last part of the path and the body: the status and what is answered."""


class Floor:
    def __init__(self, server: str) -> None:
        self._tickets = mongo.connect(f"{server}/tickets")["tickets"]
        self._orders = mongo.connect(f"{server}/orders")
        self._accounts = mongo.connect(f"{server}/auth")["accounts"]
        self._own = mongo.connect(f"{server}/floor")
        self.works: dict[str, Work] = {
            "one": self._one,
            "page": self._page,
            "list": self._list,
            "order": self._order,
            "order-with-price": self._order_with_price,
            "signin": self._sign_in,
        }

    async def prepare(self) -> None:
        """Give our collections the indexes of those that they stand for."""
        for collection in (self._tickets, self._orders["orders"]):
            found = await collection.database.command("listIndexes", collection.name)
            indexes = [i for i in found["cursor"]["firstBatch"] if i["name"] != "_id_"]
            await self._own.command("createIndexes", collection.name, indexes=indexes)

    async def _one(self, ticket_id: str, _: bytes) -> tuple[int, Any]:
        ticket = await self._tickets.find_one({"_id": ticket_id}, SHOWN)
        assert ticket
        return 200, _shown(ticket)

    async def _page(self, _: str, __: bytes) -> tuple[int, Any]:
        cursor = self._tickets.find({"order_id": None}, SHOWN).sort("_id", -1).limit(51)
        return 200, [_shown(each) for each in (await cursor.to_list(51))[:50]]

    async def _list(self, _: str, body: bytes) -> tuple[int, Any]:
        asked = json.loads(body)
        facts = {
            "title": asked["title"],
            "price_cents": round(asked["price"] * 100),
            "user_id": "0" * 24,
            "version": 0,
            "order_id": None,
        }
        derived = {"order_n": 0, "words": asked["title"].lower().split()}
        document = {"_id": mongo.new_id(), **facts, **derived, "outbox": _outbox("ticket.created", body)}
        await self._own["tickets"].insert_one(document)
        return 201, _shown(document)

    async def _order(self, _: str, body: bytes) -> tuple[int, Any]:
        return await self._place(
            {"_id": json.loads(body)["ticketId"], "title": "A ticket", "price_cents": 2000}
        )

    async def _order_with_price(self, _: str, body: bytes) -> tuple[int, Any]:
        ticket_id = json.loads(body)["ticketId"]
        ticket = await self._orders["tickets"].find_one({"_id": ticket_id}, {"title": 1, "price_cents": 1})
        assert ticket
        return await self._place(ticket)

    async def _place(self, ticket: dict[str, Any]) -> tuple[int, Any]:
        ordered = {
            "id": ticket["_id"],
            "title": ticket["title"],
            "price_cents": ticket["price_cents"],
            "n": 1,
        }
        document = {
            "_id": mongo.new_id(),
            "version": 0,
            "user_id": "0" * 24,
            "seller_id": "1" * 24,
            "ticket": ordered,
            "expires_at": now() + timedelta(minutes=15),
            "status": "created",
            "reason": None,
            "outbox": _outbox("order.created", b" " * 250),
        }
        await self._own["orders"].insert_one(document)
        shown = {"id": document["_id"], "status": "created", "reason": None, "version": 0}
        return 201, shown | {"ticket": ordered, "expiresAt": str(document["expires_at"])}

    async def _sign_in(self, _: str, body: bytes) -> tuple[int, Any]:
        asked = json.loads(body)
        account = await self._accounts.find_one({"email": asked["email"]})
        assert account
        verify = partial(
            verify_secret, account["password_hash"].encode(), asked["password"].encode(), Type.ID
        )
        await asyncio.get_running_loop().run_in_executor(_HASHING, verify)
        return 201, {"id": account["_id"], "email": account["email"]}


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": document["_id"],
        "title": document["title"],
        "price": document["price_cents"] / 100,
        "userId": document["user_id"],
        "version": document["version"],
        "orderId": document["order_id"],
    }


def _outbox(subject: str, data: bytes) -> list[dict[str, Any]]:
    identity = mongo.new_id()
    trace = f"00-{identity}{identity[:8]}-{identity[:16]}-00"
    return [{"id": f"{subject}:{identity}:0", "subject": subject, "data": data, "trace": trace, "at": now()}]


def create(server: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The app: POST or GET /<work>, or /<work>/<what>; and the same below /fastapi."""
    floor: Floor | None = None
    by_fastapi: FastAPI | None = None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal floor, by_fastapi
        if scope["type"] == "lifespan":
            await receive()
            floor = Floor(server)
            by_fastapi = _by_fastapi(floor)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return await send({"type": "lifespan.shutdown.complete"})
        assert floor
        assert by_fastapi
        if scope["path"].startswith(_FRAMED):
            return await by_fastapi(scope, receive, send)
        work, _, what = scope["path"][1:].partition("/")
        if work == "readyz":
            await floor.prepare()
            return await _send(send, 200, {})
        body = b""
        if scope["method"] == "POST":
            more = True
            while more:
                message = await receive()
                body += message["body"]
                more = message["more_body"]
        status, answer = await floor.works[work](what, body)
        await _send(send, status, answer)

    return app


def _by_fastapi(floor: Floor) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.api_route(_FRAMED + "{work}", methods=["GET", "POST"])
    @app.api_route(_FRAMED + "{work}/{what}", methods=["GET", "POST"])
    async def do(work: str, request: Request, what: str = "") -> Response:
        status, answer = await floor.works[work](what, await request.body())
        return JSONResponse(answer, status)

    return app


async def _send(send: Send, status: int, answer: Any) -> None:
    data = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


if __name__ == "__main__":
    uvicorn.run(
        create(os.environ["MONGO_URL"]),
        host=os.environ["HOST"],
        port=int(os.environ["PORT"]),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=65,
    )
