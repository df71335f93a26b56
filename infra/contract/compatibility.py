"""Compares two AsyncAPI documents: whether versions with these events can run side by side."""

from typing import Any


def incompatibilities(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What breaks a version that runs beside the other one, each as one sentence; empty if nothing does."""
    problems = []
    for name, channel in old["channels"].items():
        if new["channels"].get(name, {}).get("address") != channel["address"]:
            problems.append(f"the subject {channel['address']} was removed")
    old_schemas, new_schemas = old["components"]["schemas"], new["components"]["schemas"]
    for name, schema in old_schemas.items():
        if name in new_schemas:
            problems += [f"{name}: {problem}" for problem in _schema_problems(schema, new_schemas[name])]
        else:
            problems.append(f"{name} was removed")
    return problems


def _schema_problems(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    old_fields, new_fields = old["properties"], new["properties"]
    old_required, new_required = set(old.get("required", ())), set(new.get("required", ()))
    problems = [f"the field {name} was removed" for name in old_fields if name not in new_fields]
    problems += [
        f"the type of the field {name} changed"
        for name, field in old_fields.items()
        if name in new_fields and _type(field) != _type(new_fields[name])
    ]
    problems += [f"the field {name} is newly required" for name in sorted(new_required - old_required)]
    problems += [
        f"the field {name} is no longer required"
        for name in sorted(old_required - new_required & set(new_fields))
    ]
    return problems


def _type(field: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key not in ("description", "default")}
