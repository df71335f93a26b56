"""The pure ASGI layers around every app: request id, log, metrics, the body's limit, the origin check."""

import asyncio
import random
import re
import time

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ticketing_common.errors import BodyTooLarge, ErrorDetail, ForeignOrigin, error_response, render
from ticketing_common.logs import get_logger
from ticketing_common.metrics import REQUESTS
from ticketing_common.tracing import continue_trace

MAX_BODY = 64 * 1024
_BODY_WITHIN = 10.0
"""Seconds until all of a body has to be there: no ingress is sure to ask for it."""
_SAFE = {"GET", "HEAD", "OPTIONS"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = {"/healthz", "/readyz", "/metrics"}

log = get_logger("http")


class RequestContext:
    """Gives each request an id and a trace, logs and measures it, and turns a crash into a plain 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        asked = Headers(scope=scope)
        given = asked.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        continue_trace(asked.get("traceparent"))
        status = 0
        begun = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if status:
                raise  # the answer is half sent: let the server cut the connection
            broken = error_response(500, ErrorDetail(message="Something went wrong on our side"))
            await broken(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - begun
            route = getattr(scope.get("route"), "path", "unknown")
            REQUESTS.labels(scope["method"], route, status).observe(seconds)
            write = log.debug if scope["path"] in _QUIET else log.info
            write(
                f"{scope['method']} {scope['path']}", status=status or "aborted", ms=round(seconds * 1000, 1)
            )


class BodyLimit:
    """Refuses a body over 64 KiB, or slow, before anything else looks at the request, by reading it first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if "content-length" not in headers and "transfer-encoding" not in headers:
            return await self._app(scope, receive, send)  # there is none, says HTTP/1.1
        length = headers.get("content-length", "0")
        body = b""
        more = True
        too_large = length.isdigit() and int(length[:20]) > MAX_BODY
        try:
            async with asyncio.timeout(_BODY_WITHIN):
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
            return await render(BodyTooLarge())(scope, receive, send)
        unread = True

        async def replay() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await self._app(scope, replay, send)


class OriginCheck:
    """Refuses state-changing requests that a browser sends on behalf of another site (CSRF)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            # The ingress ends TLS, so only the host and port can be compared, not the scheme.
            if origin is not None and origin.partition("://")[2] != headers.get("host"):
                return await render(ForeignOrigin())(scope, receive, send)
        await self._app(scope, receive, send)
