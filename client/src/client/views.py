"""Pages: the templates, and what every one of them knows."""

import hashlib
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from client.sentences import NOTICES
from ticketing_common.auth import User
from ticketing_common.clock import now
from ticketing_common.idempotency import is_well_formed

STATIC = Path(__file__).parent / "static"


def _digest() -> str:
    """Of all that is in static/: part of its address, so that browsers may keep it for ever."""
    content = hashlib.sha256()
    for path in sorted(p for p in STATIC.rglob("*") if p.is_file()):
        content.update(path.name.encode() + path.read_bytes())
    return content.hexdigest()[:12]


VERSION = _digest()


def money(amount: Decimal) -> str:
    return f"${amount:,.2f}"


def ago(time: datetime) -> str:
    """How long since, as static/js/times.js says it, too."""
    passed = now() - time
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{passed // timedelta(minutes=1)} min ago"
    if passed < timedelta(days=1):
        return f"{passed // timedelta(hours=1)} h ago"
    if passed < timedelta(days=7):
        days = passed // timedelta(days=1)
        return "yesterday" if days == 1 else f"{days} days ago"
    return f"{time.day} {time:%b %Y}"


def clock(time: datetime) -> str:
    return f"{time:%H:%M} UTC"


def day(time: datetime) -> str:
    return f"{time.day} {time:%B %Y}"


def iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_templates = Environment(
    loader=PackageLoader("client"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"money": money, "ago": ago, "clock": clock, "day": day, "iso": iso}
_templates.globals |= {"static": f"/static/{VERSION}", "now": now}


def page(
    request: Request,
    template: str,
    user: User | None,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    form_key: str | None = None,
    **shown: Any,
) -> HTMLResponse:
    """A page for one visitor.

    `form_key`: the Idempotency-Key of its form. It is given to show a form again whose outcome is not known,
    so that sending it again is a repetition; else it is a new one.
    """
    text = _templates.get_template(template).render(
        shown,
        user=user,
        form_key=form_key or new_form_key(),
        path=request.url.path,
        sign_in=sign_in_path(this_page(request)),
        notice=NOTICES.get(request.query_params.get("said", "")),
    )
    return HTMLResponse(text, status, headers)


def new_form_key() -> str:
    return secrets.token_hex(16)


def form_key_of(submitted: str) -> str:
    """The key that a form was sent with; a new one if it has none or a malformed one."""
    return submitted if is_well_formed(submitted) else new_form_key()


def sign_in_path(back: str) -> str:
    """The sign-in page that leads back there."""
    return "/auth/signin" if back.startswith("/auth/") else f"/auth/signin?next={quote(back, safe='/')}"


def this_page(request: Request) -> str:
    """Path and query. Every form is sent to the page that it is on, so this is never a dead end."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
