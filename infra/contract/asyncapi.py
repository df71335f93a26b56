"""Writes docs/asyncapi.yaml, the AsyncAPI 3 document of the events, from ticketing_common.values.events.

python infra/contract/asyncapi.py > docs/asyncapi.yaml     (make asyncapi)
"""

import inspect
import sys
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from ticketing_common.values.events import EVENTS, Event

_DESCRIPTION = """The events that the services publish over NATS JetStream.

There is one stream, `TICKETING`, and one subject for each event.

Delivery is at least once, and in no guaranteed order. The header `Nats-Msg-Id` is the id of an event:
the same on every retry. Each version of an aggregate has exactly one event. An event that carries only a
change applies to the version before it; one that carries the whole state (`ticket.*`) applies if it is
newer. Unknown fields are ignored.

Within a subject no field is removed, renamed or retyped, or changes between optional and required.
"""
_HEADERS = {
    "type": "object",
    "required": ["traceparent"],
    "properties": {
        "Nats-Msg-Id": {
            "type": "string",
            "description": "The id of the event; absent if it is published again",
        },
        "traceparent": {"type": "string", "description": "W3C Trace Context of the request that caused it"},
        "Written-At": {
            "type": "string",
            "format": "date-time",
            "description": "When the publisher stored the event in its outbox",
        },
    },
}


def document() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(event, "serialization") for event in EVENTS],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Ticketing events", "version": "1.0.0", "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {event.__name__: _channel(event) for event in EVENTS},
        "operations": {name: operation for event in EVENTS for name, operation in _operations(event).items()},
        "components": {
            "messages": {event.__name__: _message(event) for event in EVENTS},
            "messageTraits": {"published": {"headers": _HEADERS}},
            "schemas": _without_titles(definitions["$defs"]),
        },
    }


def _channel(event: type[Event]) -> dict[str, Any]:
    name = event.__name__
    return {
        "address": event.subject,
        "description": inspect.getdoc(event),
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operations(event: type[Event]) -> dict[str, Any]:
    channel = {"$ref": f"#/channels/{event.__name__}"}
    sending = {f"{event.publisher}-publishes-{event.__name__}": {"action": "send", "channel": channel}}
    receiving = {
        f"{consumer}-consumes-{event.__name__}": {"action": "receive", "channel": channel}
        for consumer in event.consumers
    }
    return sending | receiving


def _message(event: type[Event]) -> dict[str, Any]:
    return {
        "name": event.subject,
        "traits": [{"$ref": "#/components/messageTraits/published"}],
        "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
    }


def _without_titles(schema: Any) -> Any:
    """Without pydantic's titles, which repeat the names of fields."""
    if isinstance(schema, dict):
        return {k: _without_titles(v) for k, v in schema.items() if k != "title" or not isinstance(v, str)}
    return [_without_titles(each) for each in schema] if isinstance(schema, list) else schema


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _string)


def to_yaml() -> str:
    text: str = yaml.dump(document(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return text


if __name__ == "__main__":
    sys.stdout.write(to_yaml())
