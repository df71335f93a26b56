"""Accounts, and the rules of signing up and signing in."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.errors import MarketError, TooManyAttempts

MAX_FAILURES = 10
FAILURE_WINDOW = timedelta(minutes=15)


class EmailInUse(MarketError):
    message = "Email in use"


class InvalidCredentials(MarketError):
    message = "Invalid credentials"


@dataclass(frozen=True, kw_only=True)
class Account(Aggregate):
    email: str
    """Normalized by `normalize_email`; unique."""
    password_hash: str = field(repr=False)


def normalize_email(email: str) -> str:
    """The form in which emails are stored and compared."""
    return email.strip().casefold()


def check_failure_limit(failures: list[datetime], now: datetime) -> None:
    """Raise TooManyAttempts if MAX_FAILURES sign-ins failed within FAILURE_WINDOW before `now`.

    `failures`: the times of the latest failed sign-ins, oldest first, at most MAX_FAILURES of them.
    """
    if len(failures) < MAX_FAILURES:
        return
    allowed_at = failures[0] + FAILURE_WINDOW
    if now < allowed_at:
        raise TooManyAttempts(retry_after=int((allowed_at - now).total_seconds()) + 1)
