"""Liveness, readiness and metrics, for the cluster only."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from ticketing_common.observability.metrics import DEPENDENCY_UP

_TIMEOUT = 2
"""Seconds for each check."""

HealthCheck = Callable[[], Awaitable[object]]
"""Raises unless the dependency answers."""

HealthChecks = Mapping[str, HealthCheck]
"""By the name of the dependency."""


def health_router(checks: HealthChecks) -> APIRouter:
    router = APIRouter(include_in_schema=False, dependencies=[Depends(_reject_proxied)])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def readyz() -> Response:
        states = await _check_all(checks)
        return JSONResponse(states, 503 if "down" in states.values() else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        await _check_all(checks)  # else the gauge would be as old as the last call of /readyz
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _check_all(checks: HealthChecks) -> dict[str, str]:
    """The state of each dependency; also sets the gauge."""
    results = await asyncio.gather(
        *(asyncio.wait_for(check(), _TIMEOUT) for check in checks.values()), return_exceptions=True
    )
    states = {
        name: "down" if isinstance(result, BaseException) else "up"
        for name, result in zip(checks, results, strict=True)
    }
    for name, state in states.items():
        DEPENDENCY_UP.labels(name).set(state == "up")
    return states


async def _reject_proxied(request: Request) -> None:
    """Raises 404 for proxied requests: an Ingress cannot exclude paths from what it routes."""
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        raise HTTPException(404)
