"""The base of every aggregate: a frozen value with an identity and a version."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Self


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """One thing that changes as a whole. Every change is a new value whose version is one higher.

    Decisions in a service's models.py take an aggregate and return what becomes of it, version
    untouched: the repository counts the versions, for only it knows whether a change was kept.
    """

    stored_names: ClassVar[Mapping[str, str]] = {}
    """Fields that MongoDB stores under another name: Python's name to the stored one.

    A stored name stays for as long as a version that reads it may run beside this one.
    """

    id: str
    version: int = 0

    def evolve(self, **changes: Any) -> Self:
        return replace(self, **changes)


class EarlierEventUnderWay(Exception):
    """An event came before the one that precedes it; it is put back and comes again."""


class NotDueYet(Exception):
    """An event came before the time at which it may take effect; it is put back until then."""

    def __init__(self, due_at: datetime) -> None:
        super().__init__(f"due at {due_at}")
        self.due_at = due_at


def follows(event_version: int, copy_version: int) -> bool:
    """Whether an event that carries only a change is the next one for a copy at `copy_version` (-1: none).

    False: a duplicate, to be dropped. Raises EarlierEventUnderWay when there is a gap between them.
    """
    if event_version > copy_version + 1:
        raise EarlierEventUnderWay(f"version {event_version} came while the copy is at {copy_version}")
    return event_version == copy_version + 1
