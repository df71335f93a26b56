"""What visitors type, read and judged; no I/O."""

import re
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

_GROUPED = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")


def parse_price(typed: str) -> Decimal | None:
    """The amount that was meant by `20`, `$1,234.5` or `19.99 `; None when that is not clear.

    Whether it is a price that the market allows, the tickets service says.
    """
    text = typed.strip().removeprefix("$").strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text, re.ASCII):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def safe_next(path: str | None) -> str:
    """Where to go after signing in: a path of this site, else the front page (no open redirect)."""
    if not path or not path.startswith("/") or re.search(r"[\\\x00-\x20\x7f]", path):
        return "/"
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    # `//elsewhere` is another host to a browser.
    return "/" if parts.scheme or parts.netloc or path.startswith("//") else path
