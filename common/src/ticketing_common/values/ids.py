"""Ids: MongoDB ObjectIds as 24 hex digits, which begin with the second of their creation."""

import re
from datetime import datetime

from bson import ObjectId

_ID = re.compile(r"[0-9a-f]{24}")


def new_id() -> str:
    return str(ObjectId())


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def created_at(identity: str) -> datetime | None:
    """When the id was created, to the second; None if it is malformed."""
    return ObjectId(identity).generation_time if is_id(identity) else None
