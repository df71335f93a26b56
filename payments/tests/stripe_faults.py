"""Faults of the stand-in for Stripe, by their effect on a call, and the calls that they strike."""

CREATE = "POST /v1/payment_intents"
LIST = "GET /v1/payment_intents"
RETRIEVE = "GET /v1/payment_intents/{id}"
CONFIRM = "POST /v1/payment_intents/{id}/confirm"
CAPTURE = "POST /v1/payment_intents/{id}/capture"
CANCEL = "POST /v1/payment_intents/{id}/cancel"
REFUND = "POST /v1/refunds"

FAULTS = [
    {"kind": "error", "status": 500},
    {"kind": "error", "status": 500, "after": True},
    {"kind": "error", "status": 503},
    {"kind": "error", "status": 429},
    {"kind": "error", "status": 409},
    {"kind": "lost"},
    {"kind": "down"},
]


def named(value):
    """The id of a test's parameter."""
    return value if isinstance(value, str) else "-".join(str(each) for each in value.values())
