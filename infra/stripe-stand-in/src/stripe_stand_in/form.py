"""Decodes Stripe's form encoding: `metadata[order]=7&expand[]=latest_charge` becomes a nested dict."""

import re
from urllib.parse import parse_qsl

from stripe_stand_in.errors import ApiError, Json

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\]){0,6})")
_MAX_FIELDS = 1000


def decode(raw: bytes) -> Json:
    """Lists become dicts with the keys "0", "1", ...; `parameters.strings` turns them into lists."""
    tree: Json = {}
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise ApiError("invalid_form") from error
    for key, value in pairs:
        match = _KEY.fullmatch(key)
        if match is None:
            raise ApiError("malformed_name", param=key)
        name, rest = match.groups()
        _insert(tree, [name, *re.findall(r"\[([^\[\]]*)\]", rest)], value, key)
    return tree


def _insert(node: Json, path: list[str], value: str, key: str) -> None:
    *parents, last = path
    for part in parents:
        node = node.setdefault(part or str(len(node)), {})
        if not isinstance(node, dict):
            raise ApiError("value_and_object", param=key)
    if isinstance(node.get(last), dict):
        raise ApiError("value_and_object", param=key)
    node[last or str(len(node))] = value
