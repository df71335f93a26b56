"""Owns the way of a request: key, form, parameters, idempotency, work, answer, one line in the log."""

import asyncio
import base64
import binascii
import hmac
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stripe_stand_in import form, idempotency
from stripe_stand_in.endpoints import ENDPOINTS, Endpoint
from stripe_stand_in.errors import Json, Refusal, api_error, invalid, unauthorized
from stripe_stand_in.expand import expanded
from stripe_stand_in.idempotency import Answer
from stripe_stand_in.ids import new_id
from stripe_stand_in.routes import Call
from stripe_stand_in.store import Store

_LARGEST_BODY = 256 * 1024
_BODY_SECONDS = 10

log = logging.getLogger("stripe_stand_in")


def build(store: Store, stripe_key: str) -> Starlette:
    """The application. One thread runs it and no work awaits anything, so no two calls ever work at once."""
    keys_in_use: set[str] = set()

    async def serve(request: Request, endpoint: Endpoint | None) -> Response:
        started = time.perf_counter()
        request_id = new_id("req_")
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        try:
            _authorize(request.headers.get("authorization", ""), stripe_key)
            if endpoint is None:
                raise _unknown_url(request)
            with idempotency.in_use(keys_in_use, key):
                answer = await _perform(request, endpoint, store, request_id, key)
        except Refusal as refusal:
            answer = idempotency.refused(refusal)
        except ClientDisconnect:
            answer = Answer(499, "", "client_disconnected")  # nobody will read it, except in the log
        except Exception:
            log.exception("the request failed")
            answer = idempotency.refused(api_error())
        spent = (time.perf_counter() - started) * 1000
        note = f" {answer.code}" if answer.code else " replayed" if answer.original_request else ""
        path = _printable(request.scope["path"])
        log.info("%s %s %d%s %.1f ms", request.method, path, answer.status, note, spent)
        return _respond(answer, request_id, key)

    def route(endpoint: Endpoint) -> Route:
        async def handle(request: Request) -> Response:
            return await serve(request, endpoint)

        return Route(endpoint.path, handle, methods=[endpoint.method])

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def unknown(request: Request, _: Exception) -> Response:
        return await serve(request, None)

    @asynccontextmanager
    async def closing_store(_: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    app = Starlette(
        routes=[Route("/healthz", healthz), *map(route, ENDPOINTS)],
        exception_handlers={HTTPException: unknown},  # Starlette's own 404 and 405
        lifespan=closing_store,
    )
    app.router.redirect_slashes = False
    return app


async def _perform(
    request: Request, endpoint: Endpoint, store: Store, request_id: str, key: str | None
) -> Answer:
    query: bytes = request.scope["query_string"]
    tree = form.decode(query if endpoint.method == "GET" else query + b"&" + await _body(request))
    params: Json = endpoint.parameters(tree, "")
    call = Call(
        store=store,
        now=int(time.time()),
        params=params,
        object_id=request.path_params.get("id", ""),
        client_ip=request.client.host if request.client else None,
    )

    def work() -> Json:
        return expanded(store, endpoint.work(call), params.get("expand", []))

    if key:
        return idempotency.once(store, key, request.scope["path"], tree, call.now, request_id, work)
    with store.transaction():
        return idempotency.attempt(store, work)


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LARGEST_BODY:
                    raise invalid("Invalid request: the body is too large.", status=413)
    except TimeoutError as error:
        raise invalid("Invalid request: the body did not arrive in time.", status=408) from error
    kind = request.headers.get("content-type", "application/x-www-form-urlencoded")
    if body and not kind.lower().startswith("application/x-www-form-urlencoded"):
        raise invalid(
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If "
            "you have questions, we can help at https://support.stripe.com/."
        )
    return bytes(body)


def _authorize(header: str, stripe_key: str) -> None:
    scheme, _, credentials = header.partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    elif scheme.lower() != "bearer":
        key = ""
    if not key:
        raise unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details, or we can help at "
            "https://support.stripe.com/."
        )
    if not hmac.compare_digest(key.encode(), stripe_key.encode()):
        shown = key[:8] + "*" * (len(key) - 12) + key[-4:] if len(key) > 16 else "*" * len(key)
        raise unauthorized(f"Invalid API Key provided: {shown}")


def _unknown_url(request: Request) -> Refusal:
    return invalid(
        f"Unrecognized request URL ({request.method}: {request.scope['path']}). If you are trying to list "
        "objects, remove the trailing slash. If you are trying to retrieve an object, make sure you "
        "passed a valid (non-empty) identifier in your code. Please see https://stripe.com/docs or we can "
        "help at https://support.stripe.com/.",
        status=404,
    )


def _respond(answer: Answer, request_id: str, key: str | None) -> Response:
    headers = {"Request-Id": request_id}
    if answer.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="Stripe"'
    if key:
        headers["Idempotency-Key"] = key
        headers["Original-Request"] = answer.original_request or request_id
        if answer.original_request:
            headers["Idempotent-Replayed"] = "true"
    return Response(answer.body, answer.status, headers, media_type="application/json")


def _printable(path: str) -> str:
    return re.sub(r"[^!-~]", "?", path)[:200]
