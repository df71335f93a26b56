"""Every field of an answer is declared by the stripe package, and has the declared type."""

import sys
import time
import types
import typing

import pytest
import stripe
from stripe._error_object import ErrorObject


class Names(dict[str, typing.Any]):
    """Also finds the names that the package imports for type checkers only."""

    def __missing__(self, name):
        try:
            return getattr(stripe, {"CardResource": "Card"}.get(name, name))
        except AttributeError:
            raise KeyError(name) from None


def declared(cls):
    """Field -> annotation, with quoted names resolved."""
    found: dict[str, typing.Any] = {}
    for base in reversed(cls.__mro__):
        names = Names({**vars(sys.modules[base.__module__]), **vars(base)})
        annotations = types.SimpleNamespace(__annotations__=vars(base).get("__annotations__", {}))
        found |= typing.get_type_hints(annotations, {}, names)
    return found


def check(value, annotation, where):
    """Fails if the value does not have the annotated type; nested objects are checked field by field."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is typing.Any:
        return
    if origin is typing.Union:
        fits = [choice for choice in arguments if _may_be(value, choice)]
        assert fits, f"{where} is {value!r}, which is not {annotation}"
        check(value, fits[0], where)
    elif origin is typing.Literal:
        assert value in arguments, f"{where} is {value!r}"
    elif origin is list:
        assert isinstance(value, list), f"{where} is {value!r}"
        for n, item in enumerate(value):
            check(item, arguments[0], f"{where}[{n}]")
    elif isinstance(value, dict) and issubclass(origin or annotation, stripe.StripeObject) and origin is None:
        fields = declared(annotation)
        for name, item in value.items():
            assert name in fields, f"{where}.{name} is unknown to {annotation.__qualname__}"
            check(item, fields[name], f"{where}.{name}")
    elif origin is None:
        assert type(value) is annotation, f"{where} is {value!r}"


def _may_be(value, annotation):
    origin = typing.get_origin(annotation)
    if origin is typing.Union:
        return any(_may_be(value, choice) for choice in typing.get_args(annotation))
    if origin is typing.Literal:
        return value in typing.get_args(annotation)
    if isinstance(value, dict):
        kind = origin or annotation
        if not (isinstance(kind, type) and issubclass(kind, stripe.StripeObject)):
            return False
        return "object" not in value or getattr(annotation, "OBJECT_NAME", value["object"]) == value["object"]
    return type(value) is (origin or annotation)


EXPAND = {"expand": ["latest_charge", "payment_method"]}
PAID = {"confirm": True, "payment_method": "pm_card_visa"}


def test_intents_charges_and_methods_have_stripes_shape(client, create):
    open_, authorised = create(metadata={"k": "v"}), create(**PAID)
    captured = client.v1.payment_intents.capture(create(**PAID).id, EXPAND)
    cancelled = client.v1.payment_intents.cancel(
        create(**PAID).id, {"cancellation_reason": "abandoned", **EXPAND}
    )
    for intent in (open_, authorised, captured, cancelled):
        check(intent.to_dict(), stripe.PaymentIntent, "intent")
    check(client.v1.charges.retrieve(authorised.latest_charge).to_dict(), stripe.Charge, "charge")
    check(
        client.v1.payment_methods.retrieve(create(payment_method="pm_card_amex").payment_method).to_dict(),
        stripe.PaymentMethod,
        "method",
    )


def test_intent_that_waits_for_its_buyer_has_stripes_shape(stripe_api, create):
    card = "pm_card_threeDSecure2Required"
    waiting = create(confirm=True, payment_method=card)
    failed = stripe_api.authenticate(create(confirm=True, payment_method=card).client_secret, success=False)
    for intent in (waiting.to_dict(), failed):
        check(intent, stripe.PaymentIntent, "intent")


def test_refunds_disputes_and_events_have_stripes_shape(client, create):
    for card in ("pm_card_visa", "pm_card_refundFail", "pm_card_pendingRefund"):
        intent = create(confirm=True, payment_method=card, capture_method="automatic")
        refund = client.v1.refunds.create({"payment_intent": intent.id, "expand": ["charge"]})
        check(refund.to_dict(), stripe.Refund, "refund")
    create(confirm=True, payment_method="pm_card_createDispute", capture_method="automatic")
    (event,) = client.v1.events.list({"type": "charge.dispute.created", "limit": 1}).data
    check(event.to_dict() | {"data": {}}, stripe.Event, "event")
    dispute = client.v1.disputes.retrieve(event.data.object["id"], {"expand": ["charge", "payment_intent"]})
    check(dispute.to_dict(), stripe.Dispute, "dispute")
    time.sleep(0.6)  # until the bank has reported the results of the refunds
    for refund in client.v1.refunds.list({"limit": 3}).data:
        check(refund.to_dict(), stripe.Refund, "refund")


def test_errors_have_stripes_shape(create):
    for params in (
        {"confirm": True, "payment_method": "pm_card_chargeDeclinedIncorrectCvc"},
        {"confirm": True},
        {"colour": "red"},
    ):
        with pytest.raises(stripe.StripeError) as caught:
            create(**params)
        body: typing.Any = caught.value.json_body
        assert list(body) == ["error"]
        check(body["error"], ErrorObject, "error")


def test_wrong_shape_is_detected(create):
    intent = create().to_dict()
    for change in (
        {"colour": "red"},
        {"amount": "1999"},
        {"payment_method_types": "card"},
        {"latest_charge": 7},
        {"payment_method_options": {"card": {"colour": "red"}}},
    ):
        with pytest.raises(AssertionError):
            check(intent | change, stripe.PaymentIntent, "intent")
