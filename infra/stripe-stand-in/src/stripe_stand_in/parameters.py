"""Owns the checking of parameters: parsers that turn a form's text into values, or refuse as Stripe does."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from stripe_stand_in.errors import Json, invalid

Parser = Callable[[Any, str], Any]  # (what the form holds, the parameter's full name) -> value

_INTEGER = re.compile(r"-?[0-9]{1,15}")


def text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {value}", param=name)
    if value == "":
        raise invalid(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a "
            f"parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or "
            "supply a non-empty value.",
            param=name,
            code="parameter_invalid_empty",
        )
    if len(value) > 5000:
        raise invalid(f"Invalid string: '{name}' must be at most 5000 characters", param=name)
    return value


def integer(value: Any, name: str) -> int:
    if not _INTEGER.fullmatch(text(value, name)):
        raise invalid(f"Invalid integer: {value}", param=name, code="parameter_invalid_integer")
    return int(value)


def within(least: int, most: int | None = None) -> Parser:
    def parse(value: Any, name: str) -> int:
        number = integer(value, name)
        if number < least or (most is not None and number > most):
            bound = f"greater than or equal to {least}" if number < least else f"less than or equal to {most}"
            raise invalid(f"This value must be {bound}.", param=name, code="parameter_invalid_integer")
        return number

    return parse


def boolean(value: Any, name: str) -> bool:
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def one_of(*choices: str) -> Parser:
    def parse(value: Any, name: str) -> str:
        if text(value, name) not in choices:
            raise invalid(f"Invalid {name}: must be one of {', '.join(choices)}", param=name)
        return str(value)

    return parse


def unsettable(parser: Parser) -> Parser:
    """An empty string means: forget the value."""
    return lambda value, name: None if value == "" else parser(value, name)


def either(parser: Parser, for_objects: Parser) -> Parser:
    return lambda value, name: (for_objects if isinstance(value, dict) else parser)(value, name)


def strings(value: Any, name: str) -> list[str]:
    if not isinstance(value, dict) or not all(key.isascii() and key.isdigit() for key in value):
        raise invalid("Invalid array", param=name)
    return [
        text(item, f"{name}[{key}]") for key, item in sorted(value.items(), key=lambda pair: int(pair[0][:9]))
    ]


def metadata(value: Any, name: str) -> dict[str, str]:
    """Text by text; an empty one stays, as it deletes that key."""
    if not isinstance(value, dict):
        raise invalid("Invalid object", param=name)
    if len(value) > 50:
        raise invalid("Metadata can have up to 50 keys.", param=name)
    for key, item in value.items():
        if not isinstance(item, str):
            raise invalid(f"Invalid string: {item}", param=f"{name}[{key}]")
        if len(key) > 40:
            raise invalid(
                f"Metadata keys can have up to 40 characters, but '{key}' has {len(key)}.", param=name
            )
        if len(item) > 500:
            message = f"Metadata values can have up to 500 characters, but '{key}' has {len(item)}."
            raise invalid(message, param=f"{name}[{key}]")
    return value


def fields(known: dict[str, Parser], required: Sequence[str] = ()) -> Parser:
    """An object with these fields and no others."""

    def parse(value: Any, name: str) -> Json:
        if not isinstance(value, dict):
            raise invalid("Invalid object", param=name)
        names = {key: f"{name}[{key}]" if name else key for key in [*required, *value]}
        unknown = [names[key] for key in value if key not in known]
        if unknown:
            message = f"Received unknown parameter{'s' if unknown[1:] else ''}: {', '.join(unknown)}"
            raise invalid(message, param=unknown[0], code="parameter_unknown")
        for key in required:
            if key not in value:
                message = f"Missing required param: {names[key]}."
                raise invalid(message, param=names[key], code="parameter_missing")
        return {key: known[key](item, names[key]) for key, item in value.items()}

    return parse
