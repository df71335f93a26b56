"""The current time, as all services measure it."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware and in UTC, truncated to the milliseconds that MongoDB stores."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
