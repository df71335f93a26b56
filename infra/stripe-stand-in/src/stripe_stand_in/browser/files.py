"""Serves what browsers load: the script in place of Stripe.js, and the pages of its frames."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stripe_stand_in.faults import Faults, NoAnswer

_HERE = Path(__file__).parent
_SCRIPT_FILES = ("errors.js", "frames.js", "card_element.js", "bank.js", "stripe.js")
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
_HEADERS = {
    # The browser revalidates each time, so that faults and edits take effect at once.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    # No frame-ancestors: any site may embed the pages.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'",
}


def routes(faults: Faults) -> list[Route]:
    """The script at /v3/ and the pages beside it. They need no key. A fault has to name the file."""
    pages = sorted((_HERE / "pages").iterdir())
    return [
        _route("/v3/", ".js", _read_script, faults),
        *(_route(f"/v3/{page.name}", page.suffix, page.read_text, faults) for page in pages),
    ]


def _route(path: str, suffix: str, read: Callable[[], str], faults: Faults) -> Route:
    async def serve(_: Request) -> Response:
        delay, fault = faults.strike(f"GET {path}", by_name_only=True)
        await asyncio.sleep(delay)
        if fault is None:
            return Response(read(), headers=_HEADERS, media_type=_TYPES[suffix])
        if fault.kind == "error":
            return JSONResponse(fault.error().body, fault.status)
        return NoAnswer()

    return Route(path, serve, methods=["GET"])


def _read_script() -> str:
    """One file, as a site loads it with one tag."""
    parts = [(_HERE / "script" / name).read_text() for name in _SCRIPT_FILES]
    return "\n".join(["(() => {", "'use strict';", *parts, "})();", ""])
