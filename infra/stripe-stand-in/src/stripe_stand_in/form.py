"""Owns Stripe's form encoding: `metadata[order]=7&expand[]=latest_charge` becomes a nested dict."""

import re
from urllib.parse import parse_qsl

from stripe_stand_in.errors import Json, invalid

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\]){0,6})")
_MOST_FIELDS = 1000


def decode(raw: bytes) -> Json:
    """Lists come out as dicts with the keys "0", "1", ...: `parameters.strings` makes lists of them."""
    tree: Json = {}
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:  # not UTF-8, or too many fields
        raise invalid("Invalid request: the form is not encoded in UTF-8, or has too many fields.") from error
    for key, value in pairs:
        match = _KEY.fullmatch(key)
        if match is None:
            raise invalid(f"Invalid request: can't make sense of the parameter name '{key}'.")
        name, rest = match.groups()
        _put(tree, [name, *re.findall(r"\[([^\[\]]*)\]", rest)], value, key)
    return tree


def _put(node: Json, path: list[str], value: str, key: str) -> None:
    *parents, last = path
    for part in parents:
        node = node.setdefault(part or str(len(node)), {})
        if not isinstance(node, dict):
            raise invalid(f"Invalid request: the parameter '{key}' is both a value and an object.", param=key)
    if isinstance(node.get(last), dict):
        raise invalid(f"Invalid request: the parameter '{key}' is both a value and an object.", param=key)
    node[last or str(len(node))] = value
