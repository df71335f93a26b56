"""Renders every error as the one JSON shape of `values.errors.ErrorBody`."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from ticketing_common.http.sessions import lacks_session
from ticketing_common.observability.logs import get_logger
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE
from ticketing_common.values.errors import ErrorBody, ErrorDetail, MarketError, NotSignedIn, Unavailable

log = get_logger(__name__)


def error_response(status: int, *details: ErrorDetail, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response for these problems. Absent fields are left out, not null."""
    return JSONResponse(ErrorBody(errors=list(details)).model_dump(exclude_none=True), status, headers)


def render_error(error: MarketError) -> JSONResponse:
    headers = None if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return error_response(error.status, error.detail, headers=headers)


def add_error_handlers(app: FastAPI) -> None:
    async def market_error(_: Request, error: MarketError) -> Response:
        return render_error(error)

    async def invalid_request(request: Request, error: RequestValidationError) -> Response:
        if lacks_session(request):
            return render_error(NotSignedIn())
        return error_response(400, *(_detail(e) for e in error.errors()))

    async def http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400 and lacks_session(request):  # a body that is not UTF-8
            return render_error(NotSignedIn())
        headers = dict(error.headers) if error.headers else None
        if error.status_code == 405:
            headers = {"Allow": _allowed_methods(app.routes, request.scope)}
        return error_response(error.status_code, ErrorDetail(message=str(error.detail)), headers=headers)

    async def mongo_unavailable(_: Request, error: Exception) -> Response:
        log.warning("mongodb is unavailable", reason=str(error)[:200])
        return render_error(Unavailable())

    # Starlette types every handler as one of Exception itself.
    app.add_exception_handler(MarketError, market_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, invalid_request)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, http_error)  # type: ignore[arg-type]
    for error in MONGO_UNAVAILABLE:
        app.add_exception_handler(error, mongo_unavailable)


def _allowed_methods(routes: list[BaseRoute], scope: Scope) -> str:
    """All methods of the path; Starlette names only those of its first route."""
    matching = [r for r in routes if isinstance(r, Route) and r.matches(scope)[0] is not Match.NONE]
    return ", ".join(sorted({m for r in matching if r.path == matching[0].path for m in r.methods or ()}))


def _detail(error: dict[str, Any]) -> ErrorDetail:
    where, *path = error["loc"]
    if error["type"] == "json_invalid":
        return ErrorDetail(message="The body is not valid JSON")
    if where == "body" and not path:
        return ErrorDetail(message="The body must be a JSON object")
    return ErrorDetail(message=error["msg"], field=".".join(map(str, path)) or None)
