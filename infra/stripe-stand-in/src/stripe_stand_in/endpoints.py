"""Owns what can be asked for: every endpoint with its parameters. What is not here is refused."""

from collections.abc import Callable
from typing import NamedTuple

from stripe_stand_in import routes
from stripe_stand_in.errors import Json
from stripe_stand_in.keys import Caller
from stripe_stand_in.parameters import (
    Parser,
    boolean,
    either,
    fields,
    integer,
    metadata,
    one_of,
    strings,
    text,
    unsettable,
    within,
)

_EXPAND: dict[str, Parser] = {"expand": strings}

_ADDRESS = fields(dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"), text))
_CARD: dict[str, Parser] = {"number": text, "exp_month": integer, "exp_year": integer, "cvc": text}
_METHOD: dict[str, Parser] = {
    "type": one_of("card"),
    "card": fields(_CARD | {"token": text}),
    "billing_details": fields({"address": _ADDRESS, "email": text, "name": text, "phone": text}),
    "metadata": metadata,
}
_METHOD_DATA = fields(_METHOD, required=("type", "card"))
_OPTIONS = fields({"card": fields({"request_three_d_secure": one_of("any", "automatic", "challenge")})})

_CONFIRMING: dict[str, Parser] = {
    "error_on_requires_action": boolean,
    "off_session": boolean,
    "return_url": text,
    "use_stripe_sdk": boolean,
}
_DESCRIBING: dict[str, Parser] = {
    "payment_method": text,
    "payment_method_data": _METHOD_DATA,
    "receipt_email": unsettable(text),
}
_UPDATE: dict[str, Parser] = {
    **_EXPAND,
    **_DESCRIBING,
    "amount": within(1),
    "description": unsettable(text),
    "metadata": unsettable(metadata),
    "statement_descriptor_suffix": unsettable(text),
}
_CREATE: dict[str, Parser] = {
    **_UPDATE,
    **_CONFIRMING,
    "automatic_payment_methods": fields(
        {"enabled": boolean, "allow_redirects": one_of("always", "never")}, required=("enabled",)
    ),
    "capture_method": one_of("automatic", "automatic_async", "manual"),
    "confirm": boolean,
    "confirmation_method": one_of("automatic", "manual"),
    "currency": text,
    "metadata": metadata,
    "payment_method_options": _OPTIONS,
    "payment_method_types": strings,
}
_WHEN = fields({"gt": integer, "gte": integer, "lt": integer, "lte": integer})
_LIST: dict[str, Parser] = {
    **_EXPAND,
    "created": either(integer, _WHEN),
    "ending_before": text,
    "limit": within(1, 100),
    "starting_after": text,
}
_CANCEL: dict[str, Parser] = {
    **_EXPAND,
    "cancellation_reason": one_of("abandoned", "duplicate", "fraudulent", "requested_by_customer"),
}
_CAPTURE: dict[str, Parser] = {**_EXPAND, "amount_to_capture": within(1), "metadata": unsettable(metadata)}
_TOKEN_CARD = fields(_CARD | {"name": text}, required=("number", "exp_month", "exp_year"))


_REFUND: dict[str, Parser] = {
    **_EXPAND,
    "amount": within(1),
    "charge": text,
    "metadata": metadata,
    "payment_intent": text,
    "reason": one_of("duplicate", "fraudulent", "requested_by_customer"),
}


class Endpoint(NamedTuple):
    method: str
    path: str
    parameters: Parser
    work: Callable[[routes.Call], Json]
    who: Caller = Caller.SERVER
    """Who may call it, at least."""


ENDPOINTS = (
    Endpoint("POST", "/v1/payment_intents", fields(_CREATE, ("amount", "currency")), routes.create_intent),
    Endpoint("GET", "/v1/payment_intents", fields(_LIST), routes.list_intents),
    Endpoint(
        "GET",
        "/v1/payment_intents/{id}",
        fields(_EXPAND | {"client_secret": text}),
        routes.show_intent,
        Caller.BROWSER,
    ),
    Endpoint("POST", "/v1/payment_intents/{id}", fields(_UPDATE), routes.update_intent),
    Endpoint(
        "POST",
        "/v1/payment_intents/{id}/confirm",
        fields(_EXPAND | _DESCRIBING | _CONFIRMING),
        routes.confirm_intent,
    ),
    Endpoint("POST", "/v1/payment_intents/{id}/capture", fields(_CAPTURE), routes.capture_intent),
    Endpoint("POST", "/v1/payment_intents/{id}/cancel", fields(_CANCEL), routes.cancel_intent),
    Endpoint(
        "POST",
        "/v1/payment_intents/{id}/_authenticate",
        fields({"client_secret": text, "success": boolean}, ("client_secret", "success")),
        routes.authenticate_intent,
        Caller.ANYBODY,  # the client secret is enough
    ),
    Endpoint("POST", "/v1/refunds", fields(_REFUND), routes.create_refund),
    Endpoint(
        "GET", "/v1/refunds", fields(_LIST | {"charge": text, "payment_intent": text}), routes.list_refunds
    ),
    Endpoint("GET", "/v1/refunds/{id}", fields(_EXPAND), routes.retrieve_refund),
    Endpoint("GET", "/v1/disputes/{id}", fields(_EXPAND), routes.retrieve_dispute),
    Endpoint("GET", "/v1/events", fields(_LIST | {"type": text}), routes.list_events),
    Endpoint("GET", "/v1/events/{id}", fields(_EXPAND), routes.retrieve_event),
    Endpoint("GET", "/v1/charges/{id}", fields(_EXPAND), routes.retrieve_charge),
    Endpoint(
        "POST",
        "/v1/payment_methods",
        fields(_EXPAND | _METHOD, ("type", "card")),
        routes.create_method,
        Caller.BROWSER,
    ),
    Endpoint("GET", "/v1/payment_methods/{id}", fields(_EXPAND), routes.retrieve_method),
    Endpoint(
        "POST",
        "/v1/tokens",
        fields(_EXPAND | {"card": _TOKEN_CARD}, ("card",)),
        routes.create_token,
        Caller.BROWSER,
    ),
    Endpoint("GET", "/v1/tokens/{id}", fields(_EXPAND), routes.retrieve_token),
)
