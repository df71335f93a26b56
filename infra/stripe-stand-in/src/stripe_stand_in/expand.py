"""`expand[]`: replaces the ids in an answer with the objects themselves."""

from stripe_stand_in.errors import ApiError, Json
from stripe_stand_in.store import Store

_EXPANDABLE = {
    "payment_intent": {"latest_charge": "charge", "payment_method": "payment_method"},
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "refund": {"charge": "charge", "payment_intent": "payment_intent"},
}
"""Kind of object -> its expandable fields -> the kind of object that each field refers to."""


def expand(store: Store, body: Json, paths: list[str]) -> Json:
    """Expands one level; in a list, `data.<field>` expands the field of each item."""
    for path in paths:
        if body["object"] == "list" and path.startswith("data."):
            field = path.removeprefix("data.")
            body = {**body, "data": [_expand_field(store, item, field, path) for item in body["data"]]}
        else:
            body = _expand_field(store, body, path, path)
    return body


def _expand_field(store: Store, body: Json, field: str, path: str) -> Json:
    kind = _EXPANDABLE.get(body["object"], {}).get(field)
    if kind is None:
        raise ApiError("cannot_expand", path=path)
    stored = store.get(kind, body[field]) if isinstance(body[field], str) else None
    return {**body, field: stored.body} if stored else body
