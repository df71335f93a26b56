"""The ASGI middleware of every app: request id, log, metrics, body limit, origin check (CSRF)."""

import asyncio
import random
import re
import time

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ticketing_common.http.errors import error_response, render_error
from ticketing_common.observability.logs import get_logger
from ticketing_common.observability.metrics import REQUESTS
from ticketing_common.observability.tracing import continue_trace
from ticketing_common.values.errors import BodyTooLarge, ErrorDetail, ForeignOrigin

MAX_BODY = 64 * 1024
_BODY_TIMEOUT = 10.0
"""Seconds until a body has to be complete. Not every ingress enforces such a limit."""
_SAFE = {"GET", "HEAD", "OPTIONS"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = {"/healthz", "/readyz", "/metrics"}

log = get_logger("http")


class RequestContext:
    """Gives each request an id and a trace, logs and measures it, and answers unhandled errors with 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        received_id = headers.get("x-request-id", "")
        request_id = received_id if _REQUEST_ID.fullmatch(received_id) else f"{random.getrandbits(128):032x}"
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        continue_trace(headers.get("traceparent"))
        status = 0
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                with_id = [*message["headers"], (b"x-request-id", request_id.encode())]
                message = {**message, "headers": with_id}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if status:
                raise  # the response is partly sent: the server closes the connection
            failure = error_response(500, ErrorDetail(message="Something went wrong on our side"))
            await failure(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "unknown")
            REQUESTS.labels(scope["method"], route, status).observe(seconds)
            log_line = log.debug if scope["path"] in _QUIET else log.info
            log_line(
                f"{scope['method']} {scope['path']}", status=status or "aborted", ms=round(seconds * 1000, 1)
            )


class BodyLimit:
    """Reads the body first and rejects one that is over 64 KiB or too slow, before anything else runs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if "content-length" not in headers and "transfer-encoding" not in headers:
            return await self._app(scope, receive, send)  # HTTP/1.1: there is no body
        length = headers.get("content-length", "0")
        body = b""
        more = True
        too_large = length.isdigit() and int(length[:20]) > MAX_BODY
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                while more and not too_large:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    too_large = len(body) > MAX_BODY
        except TimeoutError:
            late = ErrorDetail(message="The request body did not arrive in time")
            return await error_response(408, late, headers={"Connection": "close"})(scope, receive, send)
        if too_large:
            return await render_error(BodyTooLarge())(scope, receive, send)
        is_unread = True

        async def replay() -> Message:
            nonlocal is_unread
            if is_unread:
                is_unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await self._app(scope, replay, send)


class OriginCheck:
    """Rejects state-changing requests that a browser sends on behalf of another site (CSRF)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            # The ingress terminates TLS, so only host and port can be compared, not the scheme.
            if origin is not None and origin.partition("://")[2] != headers.get("host"):
                return await render_error(ForeignOrigin())(scope, receive, send)
        await self._app(scope, receive, send)
