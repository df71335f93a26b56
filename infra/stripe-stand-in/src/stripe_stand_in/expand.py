"""Owns `expand[]`: putting whole objects in place of their ids."""

from stripe_stand_in.errors import Json, invalid
from stripe_stand_in.store import Store

# object -> its expandable fields -> the kind of object behind each
_EXPANDABLE = {
    "payment_intent": {"latest_charge": "charge", "payment_method": "payment_method"},
    "charge": {"payment_intent": "payment_intent"},
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "refund": {"charge": "charge", "payment_intent": "payment_intent"},
}
_DEEPEST = 4


def expanded(store: Store, body: Json, paths: list[str]) -> Json:
    for path in paths:
        if path.count(".") >= _DEEPEST:
            raise invalid("You cannot expand more than 4 levels of a property.", param="expand")
        body = _expand(store, body, path, path)
    return body


def _expand(store: Store, body: Json, path: str, whole: str) -> Json:
    name, _, rest = path.partition(".")
    if body["object"] == "list" and name == "data" and rest:
        return {**body, "data": [_expand(store, item, rest, whole) for item in body["data"]]}
    kind = _EXPANDABLE.get(body["object"], {}).get(name)
    if kind is None:
        raise invalid(f"This property cannot be expanded ({whole}).", param="expand")
    value = body[name]
    if isinstance(value, str):
        kept = store.get(kind, value)
        value = kept.body if kept else value
    if rest and isinstance(value, dict):
        value = _expand(store, value, rest, whole)
    return {**body, name: value}
