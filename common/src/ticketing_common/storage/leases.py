"""Leases in documents, by which replicas share background work (docs/decisions/0015)."""

from datetime import datetime
from typing import Any


def not_leased(field: str, at: datetime) -> dict[str, Any]:
    """Matches documents without a valid lease in this field, also those that were never leased."""
    return {f"{field}.until": {"$not": {"$gt": at}}}
