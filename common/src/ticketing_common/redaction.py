"""Redaction: hides secrets and personal data in text, before the text leaves the process.

Two kinds of values are hidden: those that are secret by configuration (`hide_value`), and those that are
recognised by their form or by the name before them. `logs` applies it to all that a process writes.
"""

import re
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple
from urllib.parse import quote

from pydantic_core import to_json

HIDDEN = "***"

_SHORTEST = 8
"""Characters. A shorter value occurs in ordinary words; hiding it would make the log unreadable."""


class _Form(NamedTuple):
    """What a secret looks like."""

    hints: tuple[str, ...]
    """Every such secret contains one of these. Looking for them costs less than a regular expression."""
    pattern: str
    hide: Callable[[str], str]
    """Returns what replaces the text that the pattern has found."""


# An escape sequence of JSON (\n) is never cut in two, so that a line of JSON stays JSON.
_ESCAPE = r"\\(?:u[0-9a-f]{4}|.)"
# A word starts after one, too, and on a terminal after a colour.
_AFTER_ESCAPE = r"(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4})|(?<=\x1b\[[0-9]m)|(?<=\x1b\[[0-9]{2}m)"
_START = rf"(?:(?<![A-Za-z0-9_])|{_AFTER_ESCAPE})"
_START_OF_EMAIL = rf"(?:(?<![\w.!#$%*+^~-])|{_AFTER_ESCAPE})"

# Between a name and its value: in JSON (also twice encoded), Python's repr, a header, a form, on a console.
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

# 13 to 19 digits in one run, or in the groups that are printed on cards; the first is that of a card network.
# Neither the digits of a float nor the span id of a traceparent.
_CARD = (
    rf"{_START}(?<![0-9]\.)(?<![0-9a-f]{{32}}-)"
    r"[2-6](?:[0-9]{12,18}|[0-9]{3}(?:[ -][0-9]{4}){3}(?:[ -]?[0-9]{1,3})?"
    r"|[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?![A-Za-z0-9_]|\.[0-9])"
)
_DIGITS = re.compile(r"[2-6][0-9]{3}(?:[0-9]{9}|[ -][0-9]{4,6}[ -][0-9])")


def _hide_named(found: str) -> str:
    before = _BEFORE_VALUE.match(found)
    assert before, "the match begins with it"
    # A bare number is replaced by a number, because it may be one of JSON.
    return before[0] + ("0" if _NUMBER.fullmatch(found, before.end()) else HIDDEN)


def _hide_card(found: str) -> str:
    """Replaces all digits but the first by zeros, so that a number stays one; only if Luhn's check holds."""
    digits = [int(digit) for digit in found if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    is_card = (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
    return f"{digits[0]}{'0' * (len(digits) - 1)}" if is_card else found


def _hide_payment_token(found: str) -> str:
    """Keeps the beginning of a long one, by which support finds it at Stripe."""
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
        ("_secret_",), rf"{_START}[a-z]{{2,6}}_[A-Za-z0-9]+_secret_[\w*]+", partial(_keep, ".*_secret_")
    ),
    "stripe_key": _Form(
        ("sk_", "rk_", "whsec_"),
        rf"{_START}(?:[sr]k|whsec)_[A-Za-z0-9+/=_*-]+",
        partial(_keep, "[sr]k_(?:live_|test_)?|whsec_"),
    ),
    "named": _Form(
        ("assword", "asswd", "ecret", "oken", "uthorization", "ookie", "ession", "evice"),
        _NAMED,
        _hide_named,
    ),
    "scheme": _Form(
        ("earer ", "Basic "),
        r"(?:[Bb]earer|Basic) +[A-Za-z0-9._~+/=-]{8,}",
        partial(_keep, r"\w+ +"),
    ),
    "payment_token": _Form(
        ("tok_", "pm_", "ctoken_"), rf"{_START}(?:tok|pm|ctoken)_[A-Za-z0-9_*]+", _hide_payment_token
    ),
    "email": _Form(
        ("@", "%40"),
        rf"{_START_OF_EMAIL}[\w.!#$%*+^~-]+(?:@|%40)(?=\w)",
        lambda found: f"{found[0]}{HIDDEN}@",
    ),
    "card": _Form((), _CARD, _hide_card),  # recognised by _DIGITS
}

_values: set[str] = set()
_forms: dict[str, _Form]
_hints: tuple[str, ...]


def hide_value(value: str) -> None:
    """Hide this value from now on wherever it occurs: as it is, quoted in JSON or Python, or in a URL."""
    if len(value) < _SHORTEST:
        return
    in_python = repr(value)[1:-1]
    _values.update((value, in_python, _in_json(value), _in_json(in_python), quote(value, safe="")))
    longest_first = tuple(sorted(_values, key=len, reverse=True))
    pattern = "|".join(re.escape(each) for each in longest_first)
    _use({"value": _Form(longest_first, pattern, lambda _: HIDDEN), **_FORMS})


def redact(text: str) -> str:
    """The text without secrets and personal data. Ids, amounts and times stay as they are.

    The time it takes is linear in the length. On a request's line, which has nothing to hide: 2 microseconds.
    """
    for hint in _hints:
        if hint in text:
            break
    else:
        if not _DIGITS.search(text):
            return text
    names = (n for n, form in _forms.items() if not form.hints or any(hint in text for hint in form.hints))
    return _pattern(tuple(names)).sub(_replace, text)


def _use(forms: dict[str, _Form]) -> None:
    global _forms, _hints
    _forms = forms
    _hints = tuple(dict.fromkeys(hint for form in forms.values() for hint in form.hints))
    _pattern.cache_clear()


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for these forms only, because each of them costs time."""
    return re.compile("|".join([_ESCAPE, *(f"(?P<{name}>{_forms[name].pattern})" for name in names)]))


def _replace(match: re.Match[str]) -> str:
    return _forms[match.lastgroup].hide(match[0]) if match.lastgroup else match[0]


def _in_json(text: str) -> str:
    return to_json(text).decode()[1:-1]


_use(_FORMS)
