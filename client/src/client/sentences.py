"""What visitors are told, where the services' own words are too short for a page."""

from ticketing_common.errors import ErrorDetail
from ticketing_common.idempotency import KeyReused

NOTICES = {
    "listed": "Your ticket is for sale.",
    "edited": "Your changes are saved.",
    "refunded": "The order is refunded, and the ticket is for sale again.",
    "signed-out": "You are signed out. See you soon.",
}
"""By the `said` of an address: what has just been done."""

TRY_AGAIN = (
    "The market did not answer, so we don't know whether this was done. "
    "Please try again: it is done only once."
)
SIGNED_UP_BEFORE = (
    "This form already made an account with this email. Sign in with the password that you entered first, "
    "or sign up with another email."
)
"""For a sign-up form that was sent before with another password."""
NOT_SIGNED_IN = "The market did not answer, so you are not signed in yet. Please try again."
RESERVED = "A buyer holds this ticket just now, so it can't be changed. It can be again if they don't pay."

_LONGER = {
    "Email must be valid": "That doesn't look like an email address. Try something like ada@example.com.",
    "Email in use": "There is an account with this email already. Sign in instead, or use another address.",
    "Password must be between 8 and 128 characters": "Choose a password of 8 to 128 characters.",
    "Invalid credentials": "Email and password don't match. Check both and try again.",
    "Title must be between 1 and 200 characters": "Give the ticket a title, of at most 200 characters.",
    "Price must be a number from 0.50 to 999999.99 with at most 2 decimals": (
        "Enter a price in dollars from 0.50 to 999,999.99, such as 19.99."
    ),
    "Ticket is reserved and cannot be edited": RESERVED,
    "Ticket is already reserved": (
        "Somebody else was faster: this ticket is taken. If they don't pay in time, it is for sale again."
    ),
    KeyReused.message: (
        "This form was sent before with other details, and that worked: see your sales and orders. "
        "What you sent now was not done. If you want it as well, send the form again."
    ),
}


def sentence(detail: ErrorDetail) -> str:
    return _LONGER.get(detail.message, detail.message)


def wait(seconds: int) -> str:
    """How long to wait before another try."""
    if seconds < 90:
        return "Too many tries. Wait a minute, then try again."
    return f"Too many tries. Wait {-(-seconds // 60)} minutes, then try again."
