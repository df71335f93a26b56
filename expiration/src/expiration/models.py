"""An order's expiry, and what the order's events make of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ticketing_common.values.aggregate import Aggregate


@dataclass(frozen=True, kw_only=True)
class Entry(Aggregate):
    """An order, as the ledger follows it: `id` and `version` are the order's own."""

    expires_at: datetime
    settled_at: datetime | None = None
    """Since when its expiry is no longer to be told: the order was decided, or it was told. None: it is."""


def begin(order_id: str, expires_at: datetime) -> Entry:
    """The entry of a new order."""
    # What is finer than MongoDB's milliseconds would be cut off there, and the expiry early by as much.
    return Entry(id=order_id, expires_at=expires_at + timedelta(microseconds=-expires_at.microsecond % 1000))


def settle(entry: Entry, at: datetime) -> Entry:
    """The entry of an order that is decided at `at`: its expiry no longer matters."""
    return entry if entry.settled_at else entry.evolve(settled_at=at)
