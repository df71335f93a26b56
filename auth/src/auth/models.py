"""An account, and the rules of signing up and in."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ticketing_common.aggregate import Aggregate
from ticketing_common.errors import MarketError, TooManyTries

MAX_FAILURES = 10
WINDOW = timedelta(minutes=15)


class EmailInUse(MarketError):
    message = "Email in use"


class InvalidCredentials(MarketError):
    message = "Invalid credentials"


@dataclass(frozen=True, kw_only=True)
class Account(Aggregate):
    email: str
    """In its canonical form (`canonical`), which is unique."""
    password_hash: str = field(repr=False)


def canonical(email: str) -> str:
    """The form in which two spellings of one address are equal."""
    return email.strip().casefold()


def refuse_too_many_tries(failures: list[datetime], now: datetime) -> None:
    """Raises TooManyTries while the last MAX_FAILURES failures all lie within WINDOW of now.

    `failures`: the times of the latest failed tries, oldest first, at most MAX_FAILURES of them.
    """
    if len(failures) < MAX_FAILURES:
        return
    free_again = failures[0] + WINDOW
    if now < free_again:
        raise TooManyTries(retry_after=int((free_again - now).total_seconds()) + 1)
