"""The published contract of the events: current, well-formed, true, and compatible with the last release."""

import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncapi
import compatibility
import jsonschema
import pytest
import yaml

from ticketing_common.values import events
from ticketing_common.values.events import EVENTS, Event

Schemas = dict[str, Any]

ROOT = Path(__file__).parents[3]
SERVICES = {
    "tickets": "tickets.handlers",
    "orders": "orders.handlers",
    "payments": "payments.handlers",
    "expiration": "expiration.handlers",
}


def document() -> Any:
    return yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())


def test_document_is_current() -> None:
    assert (ROOT / "docs/asyncapi.yaml").read_text() == asyncapi.to_yaml(), "run `make asyncapi`"


def test_document_contains_every_event() -> None:
    concrete = {each for each in vars(events).values() if isinstance(each, type) and issubclass(each, Event)}
    assert set(EVENTS) == {each for each in concrete if hasattr(each, "subject")}


def test_every_reference_leads_somewhere() -> None:
    contract = document()

    def check(node: Any) -> None:
        if isinstance(node, dict):
            if ref := node.get("$ref"):
                target = contract
                for key in ref.removeprefix("#/").split("/"):
                    target = target[key]
            for each in node.values():
                check(each)
        elif isinstance(node, list):
            for each in node:
                check(each)

    check(contract)


def test_payloads_are_json_schemas() -> None:
    for schema in document()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_a_handler_for_exactly_the_events_it_consumes(service: str) -> None:
    handlers = importlib.import_module(SERVICES[service]).HANDLERS
    assert set(handlers) == {event for event in EVENTS if service in event.consumers}


def test_contract_is_compatible_with_the_last_release() -> None:
    released = yaml.safe_load((ROOT / "infra/contract/released.yaml").read_text())
    assert compatibility.incompatibilities(released, document()) == []


def remove_field(schemas: Schemas) -> None:
    del schemas["OrderCreated"]["properties"]["userId"]


def retype_field(schemas: Schemas) -> None:
    schemas["OrderCreated"]["properties"]["userId"] = {"type": "integer"}


def require_new_field(schemas: Schemas) -> None:
    schemas["OrderCreated"]["properties"]["seatId"] = {"type": "string"}
    schemas["OrderCreated"]["required"].append("seatId")


def remove_schema(schemas: Schemas) -> None:
    del schemas["PaymentFailed"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (remove_field, "OrderCreated: the field userId was removed"),
        (retype_field, "OrderCreated: the type of the field userId changed"),
        (require_new_field, "OrderCreated: the field seatId is newly required"),
        (remove_schema, "PaymentFailed was removed"),
    ],
)
def test_incompatible_change_is_found(change: Callable[[Schemas], None], problem: str) -> None:
    changed = copy.deepcopy(document())
    change(changed["components"]["schemas"])
    assert problem in compatibility.incompatibilities(document(), changed)


def test_optional_new_field_is_compatible() -> None:
    changed = copy.deepcopy(document())
    changed["components"]["schemas"]["OrderCreated"]["properties"]["seatId"] = {"type": "string"}
    assert compatibility.incompatibilities(document(), changed) == []
