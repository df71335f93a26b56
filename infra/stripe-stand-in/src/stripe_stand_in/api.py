"""Owns the way of a request: key, form, parameters, idempotency, work, answer, one line in the log."""

import asyncio
import json
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

from stripe_stand_in import control, faults, form, idempotency, keys, public
from stripe_stand_in.browser import files
from stripe_stand_in.endpoints import ENDPOINTS, Endpoint
from stripe_stand_in.errors import Json, Refusal, api_error, invalid
from stripe_stand_in.events import Cause, Telling
from stripe_stand_in.expand import expanded
from stripe_stand_in.faults import Fault, Faults, NoAnswer
from stripe_stand_in.idempotency import Answer
from stripe_stand_in.ids import new_id
from stripe_stand_in.keys import Caller
from stripe_stand_in.routes import Call
from stripe_stand_in.settings import Settings
from stripe_stand_in.store import Store
from stripe_stand_in.webhooks import Chores

_LARGEST_BODY = 256 * 1024
_BODY_SECONDS = 10

log = logging.getLogger("stripe_stand_in")


def build(store: Store, settings: Settings) -> Starlette:
    """The application. One thread runs it and no work awaits anything, so no two calls ever work at once."""
    keys_in_use: set[str] = set()
    rules = Faults()
    telling = Telling(wanted=settings.webhook_url is not None)
    chores = Chores(store, telling, settings.webhook_url, settings.webhook_secrets)

    def caller_with(key: str | None) -> Caller:
        return keys.caller(key, settings.stripe_key, settings.stripe_publishable_key)

    async def serve(request: Request, endpoint: Endpoint | None) -> Response:
        started = time.perf_counter()
        request_id = new_id("req_")
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        bearer = keys.borne(request.headers.get("authorization", ""))
        caller = caller_with(bearer)
        try:
            if endpoint is None:
                raise keys.refusal(caller, bearer) if caller == Caller.ANYBODY else _unknown_url(request)
            tree = None
            if bearer is None and endpoint.who == Caller.BROWSER:
                tree = await _form(request, endpoint)
                if isinstance(parameter := tree.pop("key", None), str):
                    # As Stripe.js sends the publishable key; it is no place for the secret one.
                    bearer, caller = parameter or None, caller_with(parameter)
                    caller = Caller.ANYBODY if caller == Caller.SERVER else caller
            if caller < endpoint.who:
                raise keys.refusal(caller, bearer)
            operation = f"{endpoint.method} {endpoint.path}"
            delay, worst = rules.strike(operation, by_name_only=endpoint.who == Caller.ANYBODY)
            await asyncio.sleep(delay)
            if worst and worst.kind == "down":
                return NoAnswer()
            with idempotency.in_use(keys_in_use, key):
                answer = await _perform(
                    request, endpoint, tree, caller, store, telling, request_id, key, worst
                )
            chores.wake()
            if worst and worst.kind == "lost":
                return NoAnswer()
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
        if caller != Caller.SERVER and answer.body:
            answer = answer._replace(body=json.dumps(public.shown(json.loads(answer.body))))
        return _respond(answer, request_id, key)

    def route(endpoint: Endpoint) -> Route:
        async def handle(request: Request) -> Response:
            return await serve(request, endpoint)

        return Route(endpoint.path, handle, methods=[endpoint.method])

    async def controlled(request: Request) -> Response:
        try:
            bearer = keys.borne(request.headers.get("authorization", ""))
            if (caller := caller_with(bearer)) != Caller.SERVER:
                raise keys.refusal(caller, bearer)
            body = control.handle(
                request.method, request.url.path, await request.body(), rules, telling, store
            )
        except Refusal as refusal:
            return JSONResponse(refusal.body, refusal.status)
        chores.wake()
        return JSONResponse(body)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def unknown(request: Request, _: Exception) -> Response:
        return await serve(request, None)

    @asynccontextmanager
    async def doing_chores(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(chores.run())
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        store.close()

    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            *(Route(path, controlled, methods=["GET", "POST", "DELETE"]) for path in control.PATHS),
            *map(route, ENDPOINTS),
            *files.routes(rules),
        ],
        exception_handlers={HTTPException: unknown},  # Starlette's own 404 and 405
        lifespan=doing_chores,
    )
    app.router.redirect_slashes = False
    return app


async def _perform(
    request: Request,
    endpoint: Endpoint,
    tree: Json | None,
    caller: Caller,
    store: Store,
    telling: Telling,
    request_id: str,
    key: str | None,
    fault: Fault | None,
) -> Answer:
    if tree is None:
        tree = await _form(request, endpoint)
    params: Json = endpoint.parameters(tree, "")
    if "expand" in params and caller != Caller.SERVER:
        raise invalid("The stand-in expands nothing without the secret key.", param="expand")
    call = Call(
        store=store,
        now=int(time.time()),
        by=caller,
        params=params,
        object_id=request.path_params.get("id", ""),
        client_ip=request.client.host if request.client else None,
        cause=Cause(request_id, key),
        telling=telling,
    )
    error = fault and fault.kind == "error" and faults.error(fault)
    if error and fault and not faults.is_kept(fault):
        raise error

    def work() -> Json:
        if error and not error.stands:
            raise error
        answer = expanded(store, endpoint.work(call), params.get("expand", []))
        if error:
            raise error
        return answer

    if key:
        return idempotency.once(store, key, request.scope["path"], tree, call.now, request_id, work)
    with store.transaction():
        return idempotency.attempt(store, work)


async def _form(request: Request, endpoint: Endpoint) -> Json:
    query: bytes = request.scope["query_string"]
    return form.decode(query if endpoint.method == "GET" else query + b"&" + await _body(request))


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
