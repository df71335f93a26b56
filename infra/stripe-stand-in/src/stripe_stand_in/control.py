"""The control routes, which the real Stripe does not have: faults, and the delivery of events."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from stripe_stand_in.errors import ApiError, Json
from stripe_stand_in.events import DELIVER, DeliverySettings, EventLog
from stripe_stand_in.faults import Fault, Faults
from stripe_stand_in.store import Store

PATHS = ("/_faults", "/_webhooks")
Model = TypeVar("Model", bound=BaseModel)


def control_faults(method: str, body: bytes, faults: Faults) -> Json:
    if method == "POST":
        rule = _parse(Fault, body)
        faults.rules.append(rule)
        return rule.describe()
    if method == "DELETE":
        faults.rules.clear()
        return {}
    return {"data": [rule.describe() for rule in faults.rules]}


def control_webhooks(method: str, body: bytes, events: EventLog, store: Store) -> Json:
    if method == "POST":
        change = _parse(DeliverySettings, body).model_dump(exclude_unset=True)
        events.delivery = events.delivery.model_copy(update=change)
    elif method == "DELETE":
        events.delivery = DeliverySettings()
    return {**events.delivery.model_dump(), "pending": store.count_chores(DELIVER)}


def _parse(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(map(str, first["loc"])) or "body"
        raise ApiError("invalid_control", param=param, problem=first["msg"]) from None
