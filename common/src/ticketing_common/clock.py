"""The time, as every service keeps it."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present, aware and in UTC, cut to the milliseconds that MongoDB keeps."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
