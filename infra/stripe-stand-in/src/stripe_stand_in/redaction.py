"""Removes from an answer what Stripe shows only to the bearer of the secret key."""

from typing import Any

_PRIVATE = {"fingerprint", "metadata"}
# Browsers see these fields of a PaymentIntent; they do not see its charge or what was captured.
_OF_INTENT = set(
    """amount amount_details automatic_payment_methods canceled_at cancellation_reason capture_method
    client_secret confirmation_method created currency description id last_payment_error livemode next_action
    object payment_method payment_method_configuration_details payment_method_types processing receipt_email
    setup_future_usage shipping source status""".split()  # noqa: SIM905 - shorter than one name per line
)


def redact_for_browser(value: Any) -> Any:
    """A copy without private fields, at every depth."""
    if isinstance(value, list):
        return [redact_for_browser(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = value.keys() - _PRIVATE
    if value.get("object") == "payment_intent":
        names &= _OF_INTENT
    return {name: redact_for_browser(item) for name, item in value.items() if name in names}
