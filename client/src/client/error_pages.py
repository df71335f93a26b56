"""Renders errors as pages for browsers; scripts get the same JSON as from every service."""

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from client.views import render_page
from ticketing_common.http.sessions import session_user
from ticketing_common.values.errors import ErrorBody

_HEADINGS = {
    401: "This is somebody else's",
    403: "That came from another site",
    404: "There is nothing here",
    405: "That does not work here",
    413: "That was too much",
    429: "Slow down a little",
    503: "We'll be back in a moment",
}


class ErrorPages:
    """Middleware that replaces a JSON error by an HTML page if the request accepts text/html."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "text/html" not in Headers(scope=scope).get("accept", ""):
            return await self._app(scope, receive, send)
        error_start: Message | None = None
        body = b""

        async def send_page(message: Message) -> None:
            nonlocal error_start, body
            if message["type"] == "http.response.start" and _is_json_error(message):
                error_start = message
                return
            if error_start is None:
                return await send(message)
            body += message.get("body", b"")
            if not message.get("more_body"):
                await _render(Request(scope), error_start, body)(scope, receive, send)

        await self._app(scope, receive, send_page)


def _is_json_error(start: Message) -> bool:
    content_type = Headers(raw=start["headers"]).get("content-type", "")
    return start["status"] >= 400 and content_type.startswith("application/json")


def _render(request: Request, start: Message, body: bytes) -> ASGIApp:
    status = start["status"]
    headers = MutableHeaders(raw=start["headers"])
    del headers["content-type"], headers["content-length"]
    return render_page(
        request,
        "error.html",
        session_user(request),
        status=status,
        headers=dict(headers),
        heading=_HEADINGS.get(status, "Something went wrong"),
        message=ErrorBody.model_validate_json(body).errors[0].message,
        status_code=status,
        was_form=request.method == "POST",
        reference=headers.get("x-request-id"),
    )
