"""The floor: a minimal baseline of each route, on the same store and with the same driver.

A bare ASGI app under the same server with the same settings as the services. Each path runs the MongoDB
operations that its route is about, and writes JSON with `json.dumps`. It has no routing, validation, session,
log, metric, trace or check, and publishes no event. It reads the services' data, and writes to its own
database: documents like theirs, with an event in the outbox, under the same indexes.

`/order` only inserts. `/order-with-price` first reads the ticket's price, as every order has to.
Below `/fastapi` the same operations run in a route of FastAPI without validation: the cost of the framework.
"""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import uvicorn
from argon2.low_level import Type, verify_secret
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ticketing_common.storage.mongo import connect
from ticketing_common.values.clock import now
from ticketing_common.values.ids import new_id

_NAMES = {"_id": "id", "title": "title", "user_id": "userId", "version": "version", "order_id": "orderId"}
_FIELDS = dict.fromkeys([*_NAMES, "price_cents"], 1)
_FASTAPI = "/fastapi/"
_HASHING = ThreadPoolExecutor(2)  # as many hashes at once as in the auth service


class Floor:
    """Serves `/<operation>` and `/<operation>/<ticket id>`, and the same below /fastapi."""

    def __init__(self, mongo_url: str) -> None:
        self._tickets = connect(f"{mongo_url}/tickets")["tickets"]
        self._orders = connect(f"{mongo_url}/orders")
        self._accounts = connect(f"{mongo_url}/auth")["accounts"]
        self._own = connect(f"{mongo_url}/floor")
        self._operations = {
            "one": self._find_ticket,
            "page": self._find_page,
            "list": self._insert_ticket,
            "order": self._insert_order,
            "order-with-price": self._find_ticket_and_insert_order,
            "signin": self._find_account_and_verify,
        }
        self._fastapi = FastAPI(openapi_url=None)
        for path in ("{operation}", "{operation}/{ticket_id}"):
            self._fastapi.add_api_route(_FASTAPI + path, self._serve_with_fastapi)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(_FASTAPI):
            return await self._fastapi(scope, receive, send)
        operation, _, ticket_id = scope["path"][1:].partition("/")
        if operation == "readyz":
            await self._copy_indexes()
            return await _send(send, 200, {})
        body, more_body = b"", scope["method"] == "POST"
        while more_body:
            message = await receive()
            body += message["body"]
            more_body = message["more_body"]
        await _send(send, 201 if body else 200, await self._operations[operation](ticket_id, body))

    async def _serve_with_fastapi(self, operation: str, ticket_id: str = "") -> Response:
        return JSONResponse(await self._operations[operation](ticket_id, b""))

    async def _copy_indexes(self) -> None:
        """Create the services' indexes on the floor's own collections."""
        for collection in (self._tickets, self._orders["orders"]):
            found = await collection.database.command("listIndexes", collection.name)
            indexes = [i for i in found["cursor"]["firstBatch"] if i["name"] != "_id_"]
            await self._own.command("createIndexes", collection.name, indexes=indexes)

    async def _find_ticket(self, ticket_id: str, _: bytes) -> Any:
        return _to_response(await self._tickets.find_one({"_id": ticket_id}, _FIELDS))

    async def _find_page(self, _: str, __: bytes) -> Any:
        cursor = self._tickets.find({"order_id": None}, _FIELDS).sort("_id", -1).limit(51)
        return [_to_response(ticket) for ticket in (await cursor.to_list(51))[:50]]

    async def _insert_ticket(self, _: str, body: bytes) -> Any:
        listing = json.loads(body)
        document = {
            "_id": new_id(),
            "title": listing["title"],
            "price_cents": round(listing["price"] * 100),
            "user_id": "0" * 24,
            "version": 0,
            "order_id": None,
            "order_n": 0,
            "words": listing["title"].lower().split(),
        }
        await self._own["tickets"].insert_one(document | {"outbox": _outbox("ticket.created", body)})
        return document

    async def _find_ticket_and_insert_order(self, _: str, body: bytes) -> Any:
        ticket_id = json.loads(body)["ticketId"]
        await self._orders["tickets"].find_one({"_id": ticket_id}, {"title": 1, "price_cents": 1})
        return await self._insert_order(_, body)

    async def _insert_order(self, _: str, body: bytes) -> Any:
        document = {
            "_id": new_id(),
            "version": 0,
            "user_id": "0" * 24,
            "seller_id": "1" * 24,
            "ticket": {"id": json.loads(body)["ticketId"], "title": "A ticket", "price_cents": 2000, "n": 1},
            "expires_at": now() + timedelta(minutes=15),
            "status": "created",
            "reason": None,
        }
        await self._own["orders"].insert_one(document | {"outbox": _outbox("order.created", b" " * 250)})
        return document

    async def _find_account_and_verify(self, _: str, body: bytes) -> Any:
        credentials = json.loads(body)
        account = await self._accounts.find_one({"email": credentials["email"]})
        assert account
        password_hash, password = account["password_hash"].encode(), credentials["password"].encode()
        verify = partial(verify_secret, password_hash, password, Type.ID)
        await asyncio.get_running_loop().run_in_executor(_HASHING, verify)
        return {"id": account["_id"], "email": account["email"]}


def _to_response(ticket: Any) -> dict[str, Any]:
    return {name: ticket[field] for field, name in _NAMES.items()} | {"price": ticket["price_cents"] / 100}


def _outbox(subject: str, data: bytes) -> list[dict[str, Any]]:
    identity = new_id()
    trace = f"00-{identity}{identity[:8]}-{identity[:16]}-00"
    return [{"id": f"{subject}:{identity}:0", "subject": subject, "data": data, "trace": trace, "at": now()}]


async def _send(send: Send, status: int, content: Any) -> None:
    data = json.dumps(content, default=str).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


if __name__ == "__main__":
    uvicorn.run(
        Floor(os.environ["MONGO_URL"]),
        host=os.environ["HOST"],
        port=int(os.environ["PORT"]),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=65,
    )
