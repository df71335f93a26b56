"""Creates and runs a service from its parts: the composition that all main.py modules share."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI

from ticketing_common.background import Job
from ticketing_common.config import Settings, load_settings
from ticketing_common.http.app import Step, create_app
from ticketing_common.http.health import HealthCheck, HealthChecks
from ticketing_common.http.server import serve
from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.messaging.listener import Handlers, Listener
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage.mongo import Database, ping
from ticketing_common.storage.outbox import Outbox

S = TypeVar("S", bound=Settings)


def create_service(
    name: str,
    settings: Settings,
    *,
    database: Database,
    bus: Bus | None = None,
    outbox: Outbox | None = None,
    consumes: tuple[Handlers, object] | None = None,
    router: APIRouter | None = None,
    state: Mapping[str, Any] | None = None,
    prepare: Sequence[Step] = (),
    jobs: Sequence[Job] = (),
    checks: HealthChecks | None = None,
    close: Sequence[Step] = (),
) -> FastAPI:
    """The app of a service with a database.

    With a `bus`, the service publishes the events in its `outbox`, and `consumes` events: the table of
    handlers and the object that each handler gets as its second argument. The other parameters are those of
    `create_app`.
    """
    all_jobs, all_close = list(jobs), list(close)
    all_checks: dict[str, HealthCheck] = {"mongo": partial(ping, database)}
    if bus:
        all_checks["nats"] = bus.ping
        all_close.append(bus.close)
        if outbox:
            all_jobs.append(Relay(outbox, bus).run)
        if consumes:
            handlers, repository = consumes
            all_jobs.append(Listener(bus, name, handlers, repository, DeadLetters(database)).run)
    return create_app(
        name,
        settings,
        router=router,
        state=state,
        prepare=prepare,
        jobs=all_jobs,
        checks=all_checks | dict(checks or {}),
        close=all_close,
    )


def run_service(name: str, settings: type[S], create: Callable[[S], FastAPI]) -> None:
    """Read the settings from the environment, create the app and serve it until a signal."""
    loaded = load_settings(settings, name)
    serve(create(loaded), loaded)
