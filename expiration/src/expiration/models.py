"""The expiry of an order, and how the order's events change it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from ticketing_common.values.aggregate import Aggregate


@dataclass(frozen=True, kw_only=True)
class Entry(Aggregate):
    """The ledger's entry of an order; `id` and `version` are the order's."""

    stored_names: ClassVar[Mapping[str, str]] = {"resolved_at": "settled_at"}

    expires_at: datetime
    resolved_at: datetime | None = None
    """When the order was decided or its expiry published; None while the entry is pending."""


def create_entry(order_id: str, expires_at: datetime) -> Entry:
    """The pending entry of a new order."""
    # Rounded up to MongoDB's milliseconds: rounded down, the order would expire early.
    return Entry(id=order_id, expires_at=expires_at + timedelta(microseconds=-expires_at.microsecond % 1000))


def resolve(entry: Entry, at: datetime) -> Entry:
    """Mark the entry as resolved; a resolved one stays unchanged."""
    return entry if entry.resolved_at else entry.evolve(resolved_at=at)
