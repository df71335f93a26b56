"""Rendering of pages: the templates, their filters, and what every page needs."""

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
from starlette.responses import RedirectResponse, Response

from client.messages import NOTICES
from ticketing_common.http.idempotency import is_well_formed
from ticketing_common.http.sessions import User
from ticketing_common.values.clock import now

STATIC_FOLDER = Path(__file__).parent / "static"


def _digest_static_files() -> str:
    content = hashlib.sha256()
    for path in sorted(p for p in STATIC_FOLDER.rglob("*") if p.is_file()):
        content.update(path.name.encode() + path.read_bytes())
    return content.hexdigest()[:12]


STATIC_VERSION = _digest_static_files()
"""Part of the URL of every static file, so that browsers can cache the files without a time limit."""


def format_money(amount: Decimal) -> str:
    return f"${amount:,.2f}"


def format_age(time: datetime) -> str:
    """In the same words as formatAge in static/js/times.js."""
    age = now() - time
    if age < timedelta(minutes=1):
        return "just now"
    if age < timedelta(hours=1):
        return f"{age // timedelta(minutes=1)} min ago"
    if age < timedelta(days=1):
        return f"{age // timedelta(hours=1)} h ago"
    if age < timedelta(days=7):
        days = age // timedelta(days=1)
        return "yesterday" if days == 1 else f"{days} days ago"
    return f"{time.day} {time:%b %Y}"


def format_clock(time: datetime) -> str:
    return f"{time:%H:%M} UTC"


def format_day(time: datetime) -> str:
    return f"{time.day} {time:%B %Y}"


def format_iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_templates = Environment(
    loader=PackageLoader("client"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "money": format_money,
    "age": format_age,
    "clock": format_clock,
    "day": format_day,
    "iso": format_iso,
}
_templates.globals |= {"static": f"/static/{STATIC_VERSION}", "now": now}


def render_page(
    request: Request,
    template: str,
    user: User | None,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    form_key: str | None = None,
    **context: Any,
) -> HTMLResponse:
    """Renders a template for one visitor.

    `form_key` is the Idempotency-Key of the page's form. Pass the submitted key if the outcome of the
    request is unknown, so that sending the form again repeats the request. The default is a new key.
    """
    html = _templates.get_template(template).render(
        context,
        user=user,
        form_key=form_key or _new_form_key(),
        path=request.url.path,
        sign_in=sign_in_path(_path_and_query(request)),
        notice=NOTICES.get(request.query_params.get("said", "")),
    )
    return HTMLResponse(html, status, headers)


def form_key_or_new(submitted: str) -> str:
    """The submitted form key; a new key if it is missing or malformed."""
    return submitted if is_well_formed(submitted) else _new_form_key()


def _new_form_key() -> str:
    return secrets.token_hex(16)


def see_other(path: str) -> RedirectResponse:
    """Redirects after a form. The browser follows with GET, so a reload does not send the form again."""
    return RedirectResponse(path, 303)


def sign_in_path(return_path: str) -> str:
    """The sign-in page that redirects to `return_path` afterwards."""
    if return_path.startswith("/auth/"):
        return "/auth/signin"
    return f"/auth/signin?next={quote(return_path, safe='/')}"


async def redirect_to_sign_in(request: Request, _: Exception) -> Response:
    """Exception handler for NotSignedIn; after sign-in the visitor returns to the same page.

    That works for forms too, because each form is sent to the URL of its own page.
    """
    return see_other(sign_in_path(_path_and_query(request)))


def _path_and_query(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
