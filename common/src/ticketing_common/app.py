"""The app factory: everything that the five services have in common around their own routes."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from ticketing_common import mongo
from ticketing_common.asgi import BodyLimit, OriginCheck, RequestContext
from ticketing_common.auth import lacks_session
from ticketing_common.config import Settings
from ticketing_common.errors import (
    ErrorBody,
    ErrorDetail,
    MarketError,
    NotSignedIn,
    Unavailable,
    error_response,
    render,
)
from ticketing_common.logs import configure_logs, get_logger
from ticketing_common.metrics import DEPENDENCY_UP, JOB_FAILURES

Job = Callable[[asyncio.Event], Awaitable[None]]
"""Work beside the requests, until the event says stop; what is in hand then is finished."""

_STOP_WITHIN = 10.0
_RESTART_AFTER = (1.0, 60.0)
"""Seconds until a failed job is restarted: from the first, doubling, up to the second."""

log = get_logger(__name__)


@dataclass(frozen=True)
class Parts:
    """What a service hangs into its app."""

    name: str
    settings: Settings
    router: APIRouter | None = None
    docs: str | None = None
    """The path below which openapi.json and docs are served."""
    state: dict[str, Any] = field(default_factory=dict)
    """What the routes' dependencies find on app.state."""
    prepare: Sequence[Callable[[], Awaitable[None]]] = ()
    """Done before the first request, and repeated while MongoDB is down: the unique indexes are guards."""
    jobs: Sequence[Job] = ()
    checks: dict[str, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    """A dependency's name, and what raises unless it answers."""
    close: Sequence[Callable[[], Awaitable[None]]] = ()


def create_app(parts: Parts) -> FastAPI:
    """The app of a service: its routes, errors, health, metrics, jobs, and a stop that loses nothing."""
    configure_logs(parts.settings.log_level, parts.settings.log_format, parts.name)
    app = FastAPI(
        title=f"Ticketing {parts.name}",
        openapi_url=parts.docs and f"{parts.docs}/openapi.json",
        docs_url=parts.docs and f"{parts.docs}/docs",
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(parts),
    )
    app.state.settings = parts.settings
    app.state.draining = asyncio.Event()
    for name, value in parts.state.items():
        setattr(app.state, name, value)
    for router in (parts.router, _cluster_routes(parts)):
        if router:  # not by include_router, which has each request matched twice
            app.router.routes.extend(router.routes)
    _add_error_handlers(app)
    app.add_middleware(OriginCheck)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestContext)  # the outermost
    return app


def api_router(prefix: str, tag: str) -> APIRouter:
    """The router of a service's API, whose schema states the error shape."""
    return APIRouter(
        prefix=prefix, tags=[tag], responses={"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}
    )


def part(name: str) -> Callable[[Request], Awaitable[Any]]:
    """The dependency by which a route gets what Parts.state holds under this name."""

    async def find(request: Request) -> Any:
        return getattr(request.app.state, name)

    return find


class Server(uvicorn.Server):
    """Lets answers that have no end, event streams, know by `app.state.draining` that it is time to end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.started:
            # uvicorn would wait until the app has started, which waits for MongoDB. Nothing is in hand yet,
            # and an exception raised here could be caught by whatever is running.
            os._exit(0)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.draining.set()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def serve(app: FastAPI, settings: Settings) -> None:
    """Run the app until SIGTERM or SIGINT; requests in flight are answered first."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(_STOP_WITHIN),
        timeout_keep_alive=65,  # longer than the ingress keeps its side, so that it never meets a closed one
    )
    server = Server(config)
    # uvicorn stops on a signal and then raises it again; a stop in good order ends with status 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)  # as `uvicorn` itself does when an app does not start


def _lifespan(parts: Parts) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        for prepare in parts.prepare:
            await _until_mongo_answers(prepare)
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(_keep_running(job, stopping)) for job in parts.jobs]
        log.info("ready", service=parts.name)
        yield
        stopping.set()
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=_STOP_WITHIN)
            for task in late:
                task.cancel()
        for close in parts.close:
            await close()
        log.info("stopped", service=parts.name)

    return lifespan


async def _until_mongo_answers(prepare: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await prepare()
        except mongo.DOWN as error:
            log.warning("waiting for mongodb", reason=str(error)[:120])
            await asyncio.sleep(0.25)


async def _keep_running(job: Job, stopping: asyncio.Event) -> None:
    """Restarts a failed job with back-off, so that the process never serves HTTP without consuming events."""
    shortest, longest = _RESTART_AFTER
    delay = shortest
    while not stopping.is_set():
        started = time.monotonic()
        try:
            return await job(stopping)
        except Exception:
            if time.monotonic() - started > longest:  # it had recovered
                delay = shortest
            name = _job_name(job)
            log.exception("a background job failed, restarting it", job=name, seconds=delay)
            JOB_FAILURES.labels(name).inc()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), delay)
        delay = min(2 * delay, longest)


def _job_name(job: Job) -> str:
    """The function's qualified name, such as `Listener.run`, also of a partial."""
    function = job.func if isinstance(job, partial) else job
    return str(getattr(function, "__qualname__", type(function).__name__))


async def _not_for_the_world(request: Request) -> None:
    """Raises 404 for what came through a proxy: an Ingress says what it routes, and cannot say what not."""
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        raise HTTPException(404)


def _cluster_routes(parts: Parts) -> APIRouter:
    router = APIRouter(include_in_schema=False, dependencies=[Depends(_not_for_the_world)])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    async def ask() -> dict[str, str]:
        names = list(parts.checks)
        answers = await asyncio.gather(
            *(asyncio.wait_for(check(), 2) for check in parts.checks.values()), return_exceptions=True
        )
        states = {
            n: "down" if isinstance(a, BaseException) else "up" for n, a in zip(names, answers, strict=True)
        }
        for name, state in states.items():
            DEPENDENCY_UP.labels(name).set(state == "up")
        return states

    @router.get("/readyz")
    async def readyz() -> Response:
        states = await ask()
        return JSONResponse(states, 503 if "down" in states.values() else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        await ask()  # else the gauge would be as old as the last look at /readyz
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _add_error_handlers(app: FastAPI) -> None:
    async def market_error(_: Request, error: MarketError) -> Response:
        return render(error)

    async def invalid_request(request: Request, error: RequestValidationError) -> Response:
        if lacks_session(request):
            return render(NotSignedIn())
        return error_response(400, *(_detail(e) for e in error.errors()))

    async def http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400 and lacks_session(request):  # a body that is no text at all
            return render(NotSignedIn())
        headers = dict(error.headers) if error.headers else None
        if error.status_code == 405:
            headers = {"Allow": _methods(app.routes, request.scope)}
        return error_response(error.status_code, ErrorDetail(message=str(error.detail)), headers=headers)

    async def store_down(_: Request, error: Exception) -> Response:
        log.warning("the store is down", reason=str(error)[:200])
        return render(Unavailable())

    # Starlette types every handler as one of Exception itself.
    app.add_exception_handler(MarketError, market_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, invalid_request)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, http_error)  # type: ignore[arg-type]
    for down in mongo.DOWN:
        app.add_exception_handler(down, store_down)


def _methods(routes: list[BaseRoute], scope: Scope) -> str:
    """All that the path allows; Starlette names only those of its first route."""
    fitting = [r for r in routes if isinstance(r, Route) and r.matches(scope)[0] is not Match.NONE]
    return ", ".join(sorted({m for r in fitting if r.path == fitting[0].path for m in r.methods or ()}))


def _detail(error: dict[str, Any]) -> ErrorDetail:
    where, *path = error["loc"]
    if error["type"] == "json_invalid":
        return ErrorDetail(message="The body is not valid JSON")
    if where == "body" and not path:
        return ErrorDetail(message="The body must be a JSON object")
    return ErrorDetail(message=error["msg"], field=".".join(map(str, path)) or None)
