"""The base class of every aggregate: a frozen value with an id and a version."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Self


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """One consistency boundary: it changes as a whole, and each change increments its version.

    The rules in a service's models.py take an aggregate and return the changed one with the same version. The
    repository increments the version, because only it can determine whether the change was stored.
    """

    stored_names: ClassVar[Mapping[str, str]] = {}
    """Fields that MongoDB stores under another name: Python's name to the stored one.

    A stored name stays for as long as a version that reads it may run beside this one.
    """

    id: str
    version: int = 0

    def evolve(self, **changes: Any) -> Self:
        return replace(self, **changes)


class EarlierEventMissing(Exception):
    """An event arrived before the one that precedes it. The listener has it redelivered."""


class NotDueYet(Exception):
    """An event arrived before it may take effect. The listener has it redelivered at `due_at`."""

    def __init__(self, due_at: datetime) -> None:
        super().__init__(f"due at {due_at}")
        self.due_at = due_at


def is_next_version(event_version: int, copy_version: int) -> bool:
    """Whether an event that carries only a change applies to a copy at `copy_version` (-1: no copy yet).

    False: the event is a duplicate. Raises EarlierEventMissing if an event between the two has not arrived.
    """
    if event_version > copy_version + 1:
        raise EarlierEventMissing(f"received version {event_version}, the copy is at {copy_version}")
    return event_version == copy_version + 1
