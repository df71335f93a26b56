"""Messages for visitors, including longer versions of the services' messages."""

from collections.abc import Iterable

from ticketing_common.http.idempotency import IdempotencyKeyReused
from ticketing_common.values.errors import ErrorDetail

NOTICES = {
    "listed": "Your ticket is for sale.",
    "edited": "Your changes are saved.",
    "refunded": "The order is refunded, and the ticket goes back on sale.",
    "signed-out": "You are signed out. See you soon.",
}
"""Confirmations, by the value of the query parameter `said`."""

OUTCOME_UNKNOWN = (
    "We got no answer, so we don't know whether this was done. Please try again: it is done only once."
)
NOT_SIGNED_IN_YET = "We got no answer, so you are not signed in yet. Please try again."
ACCOUNT_EXISTS_WITH_OTHER_PASSWORD = (
    "This form already made an account with this email. Sign in with the password that you entered first, "
    "or sign up with another email."
)
"""For a sign-up form that is sent again with another password."""
UNCLEAR_PRICE = "Enter the price as a number of dollars, such as 19.99."
TICKET_RESERVED = (
    "A buyer has reserved this ticket, so it can't be changed. You can change it again if they don't pay."
)

_LONGER_MESSAGES = {
    "Email must be valid": "That doesn't look like an email address. Try something like ada@example.com.",
    "Email in use": "There is an account with this email already. Sign in instead, or use another address.",
    "Password must be between 8 and 128 characters": "Choose a password of 8 to 128 characters.",
    "Invalid credentials": "Email and password don't match. Check both and try again.",
    "Title must be between 1 and 200 characters": "Give the ticket a title, of at most 200 characters.",
    "Price must be a number from 0.50 to 999999.99 with at most 2 decimals": (
        "Enter a price in dollars from 0.50 to 999,999.99, such as 19.99."
    ),
    "Ticket is reserved and cannot be edited": TICKET_RESERVED,
    "Ticket is already reserved": (
        "Somebody else was faster: this ticket is taken. If they don't pay in time, it goes back on sale."
    ),
    IdempotencyKeyReused.message: (
        "This form was sent before with other details, and that worked: see your sales and orders. "
        "What you sent now was not done. If you want it as well, send the form again."
    ),
}


def message_for(detail: ErrorDetail) -> str:
    return _LONGER_MESSAGES.get(detail.message, detail.message)


def messages_by_field(details: Iterable[ErrorDetail]) -> dict[str, str]:
    """The messages by field name; "" is the form as a whole."""
    return {detail.field or "": message_for(detail) for detail in details}


def too_many_tries(retry_after: int) -> str:
    """`retry_after` in seconds."""
    if retry_after < 90:
        return "Too many tries. Wait a minute, then try again."
    return f"Too many tries. Wait {-(-retry_after // 60)} minutes, then try again."
