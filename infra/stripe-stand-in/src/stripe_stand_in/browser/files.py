"""Owns what browsers load: the script in place of Stripe.js, and the pages that it puts into frames."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stripe_stand_in import faults
from stripe_stand_in.faults import Faults, NoAnswer

_HERE = Path(__file__).parent
# A site loads the script by one tag, so its parts are joined.
_PARTS = ("errors.js", "frames.js", "card_element.js", "bank.js", "stripe.js")
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
_HEADERS = {
    # A browser may keep it but asks each time, so that a fault strikes and an edit shows at once.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    # Any site may put the pages into a frame: which one does is not known here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'",
}


def routes(rules: Faults) -> list[Route]:
    """GET /v3/ is the script; each page is beside it. Nobody needs a key, and only faults by name strike."""
    pages = sorted((_HERE / "pages").iterdir())
    return [
        _route("/v3/", ".js", _script, rules),
        *(_route(f"/v3/{page.name}", page.suffix, page.read_text, rules) for page in pages),
    ]


def _route(path: str, suffix: str, read: Callable[[], str], rules: Faults) -> Route:
    async def serve(_: Request) -> Response:
        delay, worst = rules.strike(f"GET {path}", by_name_only=True)
        await asyncio.sleep(delay)
        if worst is None:
            return Response(read(), headers=_HEADERS, media_type=_TYPES[suffix])
        if worst.kind == "error":
            refusal = faults.error(worst)
            return JSONResponse(refusal.body, refusal.status)
        return NoAnswer()

    return Route(path, serve, methods=["GET"])


def _script() -> str:
    parts = [(_HERE / "script" / name).read_text() for name in _PARTS]
    return "\n".join(["(() => {", "'use strict';", *parts, "})();", ""])
