"""Owns the control routes, which no real Stripe has: what is to go wrong, and how events are delivered."""

import json
from typing import Any

from stripe_stand_in import events
from stripe_stand_in.errors import Json, invalid
from stripe_stand_in.events import Telling
from stripe_stand_in.faults import Faults, fault
from stripe_stand_in.store import Store

PATHS = ("/_faults", "/_webhooks")
_TELLING = {"duplicates": (int,), "disorder_seconds": (int, float), "held": (bool,)}


def handle(method: str, path: str, raw: bytes, faults: Faults, telling: Telling, store: Store) -> Json:
    if path == "/_faults":
        return _faults(method, raw, faults)
    return _webhooks(method, raw, telling, store)


def _faults(method: str, raw: bytes, faults: Faults) -> Json:
    if method == "POST":
        rule = fault(_parsed(raw))
        faults.rules.append(rule)
        return rule.shown()
    if method == "DELETE":
        faults.rules.clear()
        return {}
    return {"data": [rule.shown() for rule in faults.rules]}


def _webhooks(method: str, raw: bytes, telling: Telling, store: Store) -> Json:
    if method == "POST":
        change = _parsed(raw)
        for name, value in change.items():
            kinds = _TELLING.get(name)
            if kinds is None:
                raise invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
            right = isinstance(value, kinds) and (isinstance(value, bool) == (bool in kinds))
            if not right or value < 0:
                raise invalid(f"Invalid {name}: {value!r}", param=name)
        for name, value in change.items():
            setattr(telling, name, value)
    elif method == "DELETE":
        for name, value in vars(Telling(wanted=telling.wanted)).items():
            setattr(telling, name, value)
    return {name: getattr(telling, name) for name in _TELLING} | {
        "pending": store.count_chores(events.DELIVER)
    }


def _parsed(raw: bytes) -> Any:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return body
