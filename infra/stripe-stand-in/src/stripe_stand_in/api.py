"""Handles each request: API key, faults, form, parameters, idempotency, operation, answer, log."""

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

from stripe_stand_in import control, form, idempotency
from stripe_stand_in.api_keys import Caller, identify_caller, key_from_header, not_allowed
from stripe_stand_in.browser import files
from stripe_stand_in.errors import ApiError, Json
from stripe_stand_in.events import Cause, EventLog
from stripe_stand_in.expand import expand
from stripe_stand_in.faults import Fault, Faults, NoAnswer
from stripe_stand_in.idempotency import Answer
from stripe_stand_in.objects import new_id
from stripe_stand_in.operations import ENDPOINTS, Call, Endpoint
from stripe_stand_in.parameters import parse
from stripe_stand_in.redaction import redact_for_browser
from stripe_stand_in.settings import Settings
from stripe_stand_in.store import Store
from stripe_stand_in.webhooks import ChoreRunner

log = logging.getLogger(__name__)


class Api:
    """Stripe's API. One thread runs all calls, and no operation awaits: operations never interleave."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._faults = Faults()
        self._events = EventLog(store, has_webhook=settings.webhook_url is not None)
        self._chores = ChoreRunner(store, self._events, settings.webhook_url, settings.webhook_secrets)
        self._keys_in_use: set[str] = set()
        self._locked: set[str] = set()
        """The ids of objects with a late operation."""

    def create_app(self) -> Starlette:
        app = Starlette(
            routes=[
                Route("/healthz", _healthz),
                *(Route(path, self._control, methods=["GET", "POST", "DELETE"]) for path in control.PATHS),
                *map(self._route, ENDPOINTS),
                *files.routes(self._faults),
            ],
            exception_handlers={HTTPException: self._serve_unknown},  # Starlette's own 404 and 405
            lifespan=self._lifespan,
        )
        app.router.redirect_slashes = False
        return app

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(self._chores.run())
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self._store.close()

    def _route(self, endpoint: Endpoint) -> Route:
        async def serve(request: Request) -> Response:
            return await self._serve(request, endpoint)

        return Route(endpoint.path, serve, methods=[endpoint.method])

    async def _serve_unknown(self, request: Request, _: Exception) -> Response:
        return await self._serve(request, None)

    async def _serve(self, request: Request, endpoint: Endpoint | None) -> Response:
        started = time.perf_counter()
        request_id = new_id("req_")
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        caller = Caller.ANYBODY
        try:
            caller = self._identify(request, endpoint.caller if endpoint else Caller.BROWSER)
            if endpoint is None:
                raise ApiError("unknown_url", method=request.method, path=request.scope["path"])
            operation, is_bank = f"{endpoint.method} {endpoint.path}", endpoint.caller == Caller.ANYBODY
            delay, fault = self._faults.strike(operation, by_name_only=is_bank)
            await asyncio.sleep(delay)
            if fault and fault.kind == "down":
                return NoAnswer()
            with idempotency.hold_key(self._keys_in_use, key):
                answer = await self._run(request, endpoint, caller, Cause(request_id, key), fault)
            self._chores.wake()
            if fault and fault.kind == "lost":
                return NoAnswer()
        except ApiError as error:
            answer = idempotency.answer_error(error)
        except ClientDisconnect:
            answer = Answer(499, "", "client_disconnected")  # only for the log
        except Exception:
            log.exception("request failed")
            answer = idempotency.answer_error(ApiError("internal"))
        _log_request(request, answer, started)
        if caller != Caller.SERVER and answer.body:
            answer = answer._replace(body=json.dumps(redact_for_browser(json.loads(answer.body))))
        return _respond(answer, request_id, key)

    def _identify(self, request: Request, required: Caller) -> Caller:
        """Raises ApiError if the caller may do less than `required`."""
        key = key_from_header(request.headers.get("authorization", ""))
        caller = identify_caller(key, self._settings.stripe_key, self._settings.stripe_publishable_key)
        if caller < required:
            raise not_allowed(caller, key)
        return caller

    async def _run(
        self, request: Request, endpoint: Endpoint, caller: Caller, cause: Cause, fault: Fault | None
    ) -> Answer:
        tree = await _read_form(request)
        params = parse(endpoint.params, tree)
        if params.expand and caller != Caller.SERVER:
            raise ApiError("expand_without_secret_key")
        object_id = request.path_params.get("id", "")
        if request.method == "POST" and object_id and object_id in self._locked:
            raise ApiError("lock_timeout")
        if fault and fault.kind == "late":
            self._locked.add(object_id)
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                self._locked.discard(object_id)
        error = fault.error() if fault and fault.kind == "error" else None
        if error and fault and not fault.is_stored:
            raise error
        now = int(time.time())
        call = Call(self._store, self._events, now, caller, object_id, cause)

        def operation() -> Json:
            if error and not error.keeps_effects:
                raise error
            body = expand(self._store, endpoint.operation(call, params), params.expand)
            if error:
                raise error
            return body

        if cause.idempotency_key:
            key, path = cause.idempotency_key, request.scope["path"]
            request_id = cause.request_id or ""
            return idempotency.run_once(self._store, key, path, tree, now, request_id, operation)
        with self._store.transaction():
            return idempotency.run(self._store, operation)

    async def _control(self, request: Request) -> Response:
        try:
            self._identify(request, Caller.SERVER)
            body = await request.body()
            if request.url.path == "/_faults":
                answer = control.control_faults(request.method, body, self._faults)
            else:
                answer = control.control_webhooks(request.method, body, self._events, self._store)
        except ApiError as error:
            return JSONResponse(error.body, error.status)
        self._chores.wake()
        return JSONResponse(answer)


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _read_form(request: Request) -> Json:
    query: bytes = request.scope["query_string"]
    if request.method == "GET":
        return form.decode(query)
    body = await request.body()
    kind = request.headers.get("content-type", "application/x-www-form-urlencoded")
    if body and not kind.lower().startswith("application/x-www-form-urlencoded"):
        raise ApiError("content_type")
    return form.decode(query + b"&" + body)


def _log_request(request: Request, answer: Answer, started: float) -> None:
    milliseconds = (time.perf_counter() - started) * 1000
    note = f" {answer.code}" if answer.code else " replayed" if answer.original_request else ""
    path = re.sub(r"[^!-~]", "?", request.scope["path"])[:200]
    log.info("%s %s %d%s %.1f ms", request.method, path, answer.status, note, milliseconds)


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
