"""Redaction: hides secrets and personal data in text before it leaves the process.

Two kinds of values are hidden: configured secrets (`hide_value`), and values that are recognised by their
form or by the name in front of them. `logs` applies it to everything that a process writes.
"""

import re
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple
from urllib.parse import quote

from pydantic_core import to_json

HIDDEN = "***"

_SHORTEST = 8
"""Characters. Shorter values occur in ordinary words; hiding them would make the log unreadable."""


class _Form(NamedTuple):
    """The form of one kind of secret."""

    hints: tuple[str, ...]
    """Every such secret contains one of these. Searching for them is cheaper than a regular expression."""
    pattern: str
    hide: Callable[[str], str]
    """Returns the replacement of a match."""


# Matched first, so that an escape sequence of JSON (\n) is never cut in two and a line of JSON stays valid.
_ESCAPE = r"\\(?:u[0-9a-f]{4}|.)"
# A word also starts after an escape sequence, and on a terminal after a colour code.
_AFTER_ESCAPE = r"(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4})|(?<=\x1b\[[0-9]m)|(?<=\x1b\[[0-9]{2}m)"
_START = rf"(?:(?<![A-Za-z0-9_])|{_AFTER_ESCAPE})"
_START_OF_EMAIL = rf"(?:(?<![\w.!#$%*+^~-])|{_AFTER_ESCAPE})"

# What separates a name from its value in JSON (also encoded twice), Python's repr, a header, a form, on a
# console.
_COLOURS = r"(?:\x1b\[[0-9;]*m)*"
_IS = rf"{_COLOURS}(?:\\*[\"']?\s*[:=]\s*|',\s*(?=b')){_COLOURS}"
_NAMED = (
    r"(?i:password(?:_?hash)?|passwd|secret|token|authorization|cookie|session|device)"
    rf"{_IS}(?!(?:null|true|false|none|None)\b)(?:(?:[Bb]earer|Basic) +)?"
    r"(?:\\+\"[^\"\\]*(?:\\[^\"\\][^\"\\]*)*|\"(?:[^\"\\]|\\.)*|b?'(?:[^'\"\\]|\\.)*"
    r"|[^\s\"'\\,;&(){}\[\]\x1b]+)"
)
_BEFORE_VALUE = re.compile(rf"\w+{_IS}(?:\\*\"|b?')?")
_NUMBER = re.compile(r"-?[0-9.]+")

# 13 to 19 digits, in one run or in the groups that are printed on cards, starting with a card network's
# digit. Excludes the digits of a float and the span id of a traceparent.
_CARD = (
    rf"{_START}(?<![0-9]\.)(?<![0-9a-f]{{32}}-)"
    r"[2-6](?:[0-9]{12,18}|[0-9]{3}(?:[ -][0-9]{4}){3}(?:[ -]?[0-9]{1,3})?"
    r"|[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?![A-Za-z0-9_]|\.[0-9])"
)
_ZEROS = bytes.maketrans(b"0123456789", b"0000000000")
_MANY_DIGITS = b"0" * 13


def _hide_named(found: str) -> str:
    before = _BEFORE_VALUE.match(found)
    assert before, "every match begins with a name"
    # A bare number becomes a number, because it may be a JSON value.
    return before[0] + ("0" if _NUMBER.fullmatch(found, before.end()) else HIDDEN)


def _hide_card(found: str) -> str:
    """Replaces all digits but the first by zeros if Luhn's check holds; a number stays a number."""
    digits = [int(digit) for digit in found if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    is_card = (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
    return f"{digits[0]}{'0' * (len(digits) - 1)}" if is_card else found


def _hide_payment_token(found: str) -> str:
    """Keeps the beginning of a long token, so that support can find it at Stripe."""
    kind, _, rest = found.partition("_")
    return found if rest.endswith(HIDDEN) else f"{kind}_{rest[:4] if len(rest) >= 12 else ''}{HIDDEN}"


def _keep(beginning: str, found: str) -> str:
    kept = re.match(beginning, found)
    return (kept[0] if kept else "") + HIDDEN


_FORMS = {
    "url": _Form(("@",), r"(?<=://)[^\s/\"'\\]*@", lambda _: f"{HIDDEN}@"),
    "jwt": _Form(("eyJ",), r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*", lambda _: HIDDEN),
    "hash": _Form(("$argon2",), r"\$argon2[^\s\"'\\)]*", lambda _: HIDDEN),
    "client_secret": _Form(
        ("ecret",), rf"{_START}[a-z]{{2,6}}_[A-Za-z0-9]+_secret_[\w*]+", partial(_keep, ".*_secret_")
    ),
    "stripe_key": _Form(
        ("sk_", "rk_", "whsec_"),
        rf"{_START}(?:[sr]k|whsec)_[A-Za-z0-9+/=_*-]+",
        partial(_keep, "[sr]k_(?:live_|test_)?|whsec_"),
    ),
    "named": _Form(
        ("assw", "ecret", "oken", "uthorization", "ookie", "ession", "evice"),
        _NAMED,
        _hide_named,
    ),
    "scheme": _Form(
        ("earer ", "Basic "),
        r"(?:[Bb]earer|Basic) +[A-Za-z0-9._~+/=-]{8,}",
        partial(_keep, r"\w+ +"),
    ),
    "payment_token": _Form(
        ("tok_", "pm_", "oken"), rf"{_START}(?:tok|pm|ctoken)_[A-Za-z0-9_*]+", _hide_payment_token
    ),
    "email": _Form(
        ("@", "%40"),
        rf"{_START_OF_EMAIL}[\w.!#$%*+^~-]+(?:@|%40)(?=\w)",
        lambda found: f"{found[0]}{HIDDEN}@",
    ),
    "card": _Form((), _CARD, _hide_card),  # its hint: _has_many_digits
}

_values: set[str] = set()
_forms: dict[str, _Form]
_hints: tuple[str, ...]


def hide_value(value: str) -> None:
    """Hides this value from now on wherever it occurs: plain, quoted in JSON or Python, or in a URL."""
    if len(value) < _SHORTEST:
        return
    in_python = repr(value)[1:-1]
    _values.update((value, in_python, _in_json(value), _in_json(in_python), quote(value, safe="")))
    longest_first = tuple(sorted(_values, key=len, reverse=True))
    pattern = "|".join(re.escape(each) for each in longest_first)
    _use({"value": _Form(longest_first, pattern, lambda _: HIDDEN), **_FORMS})


def redact(text: str) -> str:
    """The text without secrets and personal data. Ids, amounts and times are left unchanged.

    Runs in linear time. A line without secrets costs about a third more than without redaction.
    """
    for hint in _hints:
        if hint in text:
            break
    else:
        if not _has_many_digits(text):
            return text
    names = (n for n, form in _forms.items() if not form.hints or any(hint in text for hint in form.hints))
    return _pattern(tuple(names)).sub(_replace, text)


def _has_many_digits(text: str) -> bool:
    """Whether there are 13 digits in a row, ignoring spaces and hyphens; faster than a regular expression."""
    return _MANY_DIGITS in text.encode(errors="replace").translate(_ZEROS, b" -")


def _use(forms: dict[str, _Form]) -> None:
    global _forms, _hints
    _forms = forms
    general = tuple(dict.fromkeys(hint for form in _FORMS.values() for hint in form.hints))
    particular = (hint for hint in _values if not any(each in hint for each in general))
    _hints = (*general, *particular)
    _pattern.cache_clear()


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for only these forms, because every alternative costs time."""
    return re.compile("|".join([_ESCAPE, *(f"(?P<{name}>{_forms[name].pattern})" for name in names)]))


def _replace(match: re.Match[str]) -> str:
    return _forms[match.lastgroup].hide(match[0]) if match.lastgroup else match[0]


def _in_json(text: str) -> str:
    return to_json(text).decode()[1:-1]


_use(_FORMS)
