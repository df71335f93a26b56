"""The app factory: error handling, health checks, background jobs, and a graceful stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request

from ticketing_common.background import Job, repeat, retry_while_down
from ticketing_common.config import Settings
from ticketing_common.http.errors import add_error_handlers
from ticketing_common.http.health import HealthChecks, health_router
from ticketing_common.http.middleware import BodyLimit, OriginCheck, RequestContext
from ticketing_common.http.server import STOP_TIMEOUT
from ticketing_common.observability.logs import configure_logs, get_logger
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE
from ticketing_common.values.errors import ErrorBody

Step = Callable[[], Awaitable[None]]

log = get_logger(__name__)


def create_app(
    name: str,
    settings: Settings,
    *,
    router: APIRouter | None = None,
    state: Mapping[str, Any] | None = None,
    prepare: Sequence[Step] = (),
    jobs: Sequence[Job] = (),
    checks: HealthChecks | None = None,
    close: Sequence[Step] = (),
) -> FastAPI:
    """A FastAPI app with everything that all services share around their own routes.

    `router`: if it has a prefix, openapi.json and docs are served below it. `state`: objects for `app_state`.
    `prepare`: awaited before the first request and retried while MongoDB is unavailable, such as the creation
    of unique indexes. `jobs`: run beside the requests, restarted if they fail. `close`: awaited after the
    last request.
    """
    configure_logs(settings.log_level, settings.log_format, name)
    docs = router.prefix if router else ""
    app = FastAPI(
        title=f"Ticketing {name}",
        openapi_url=f"{docs}/openapi.json" if docs else None,
        docs_url=f"{docs}/docs" if docs else None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=partial(_lifespan, name=name, prepare=prepare, jobs=jobs, close=close),
    )
    app.state.settings = settings
    app.state.draining = asyncio.Event()
    for key, value in (state or {}).items():
        setattr(app.state, key, value)
    for each in (router, health_router(checks or {})):
        if each:  # not by include_router, with which each request is matched twice
            app.router.routes.extend(each.routes)
    add_error_handlers(app)
    app.add_middleware(OriginCheck)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestContext)  # the outermost
    return app


def api_router(prefix: str, tag: str) -> APIRouter:
    """The router of a service's API. Its OpenAPI schema contains the shape of errors."""
    return APIRouter(
        prefix=prefix, tags=[tag], responses={"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}
    )


def app_state(key: str) -> Callable[[Request], Awaitable[Any]]:
    """A dependency that returns what `create_app` was given as `state[key]`."""

    async def read(request: Request) -> Any:
        return getattr(request.app.state, key)

    return read


@asynccontextmanager
async def _lifespan(
    _app: FastAPI, *, name: str, prepare: Sequence[Step], jobs: Sequence[Job], close: Sequence[Step]
) -> AsyncIterator[None]:
    for step in prepare:
        await retry_while_down(step, MONGO_UNAVAILABLE, waiting_for="mongodb")
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(_run(job, stopping)) for job in jobs]
    log.info("ready", service=name)
    yield
    stopping.set()
    if tasks:
        _done, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        for task in late:
            task.cancel()
    for step in close:
        await step()
    log.info("stopped", service=name)


async def _run(job: Job, stopping: asyncio.Event) -> None:
    """Run a job until `stopping` is set, restarting it whenever it ends or fails."""
    await repeat(lambda: job(stopping), stopping, name=_job_name(job), every=1.0)


def _job_name(job: Job) -> str:
    """The function's qualified name, such as `Listener.run`, also of a partial."""
    function = job.func if isinstance(job, partial) else job
    return str(getattr(function, "__qualname__", type(function).__name__))
