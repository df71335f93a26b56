"""Owns what a browser is shown: Stripe leaves out of an answer what only the secret key may see."""

from typing import Any

_PRIVATE = {"fingerprint", "metadata"}
# Of a PaymentIntent these are for browsers, and not its charge, what was captured, or who the customer is.
_OF_INTENT = set(
    """amount amount_details automatic_payment_methods canceled_at cancellation_reason capture_method
    client_secret confirmation_method created currency description id last_payment_error livemode next_action
    object payment_method payment_method_configuration_details payment_method_types processing receipt_email
    setup_future_usage shipping source status""".split()  # noqa: SIM905 - one name a line would bury the rest
)


def shown(value: Any) -> Any:
    """The same object, or error, or whatever is inside one, without what is private."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = value.keys() - _PRIVATE
    if value.get("object") == "payment_intent":
        names &= _OF_INTENT
    return {name: shown(item) for name, item in value.items() if name in names}
