"""Parsing and validation of what visitors enter; no I/O."""

import re
from decimal import Decimal
from urllib.parse import urlsplit

_WITH_THOUSANDS_SEPARATORS = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")


def parse_price(text: str) -> Decimal | None:
    """Parses `20`, `$1,234.5` or `19.99 `. None if the amount is unclear.

    The tickets service decides which amounts are allowed.
    """
    text = text.strip().removeprefix("$").strip()
    if _WITH_THOUSANDS_SEPARATORS.fullmatch(text):
        text = text.replace(",", "")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text, re.ASCII):
        return None
    return Decimal(text)


def safe_redirect_path(path: str | None) -> str:
    """The path if it is on this site, else "/": prevents an open redirect after sign-in."""
    if not path or not path.startswith("/") or re.search(r"[\\\x00-\x20\x7f]", path):
        return "/"
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    # Browsers read `//elsewhere` as another host.
    return "/" if parts.scheme or parts.netloc or path.startswith("//") else path
