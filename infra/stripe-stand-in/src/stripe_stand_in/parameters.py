"""The parameters of each endpoint, as pydantic models. An invalid one raises Stripe's error.

A field that is None was not given.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from stripe_stand_in.errors import ApiError, Json

Params = TypeVar("Params", bound="Expandable")


def parse(model: type[Params], form: Json) -> Params:
    try:
        return model.model_validate(form)
    except ValidationError as error:
        # Stripe looks for unknown parameters first.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    name, *path = (str(part) for part in first["loc"] if part != "[key]")
    param = name + "".join(f"[{part}]" for part in path)
    choices = first.get("ctx", {}).get("expected", "").replace("'", "").replace(" or ", ", ")
    raise ApiError(first["type"], param=param, input=first["input"], choices=choices, **first.get("ctx", {}))


def _to_integer(value: Any) -> Any:
    is_integer = isinstance(value, str) and re.fullmatch("-?[0-9]{1,15}", value)
    return int(value) if is_integer else value


def _to_boolean(value: Any) -> Any:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _to_list(value: Any) -> Any:
    """From the dict that form.py makes of a list."""
    if not isinstance(value, dict) or not all(key.isascii() and key.isdigit() for key in value):
        return value
    return [value[key] for key in sorted(value, key=lambda key: int(key[:9]))]


def _drop_empty(value: dict[str, str]) -> dict[str, str]:
    return {key: item for key, item in value.items() if item}


Text = Annotated[str, Field(min_length=1, max_length=5000)]
Integer = Annotated[int, BeforeValidator(_to_integer)]
Boolean = Annotated[bool, BeforeValidator(_to_boolean)]
Texts = Annotated[list[Text], BeforeValidator(_to_list)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=500)]],
    Field(max_length=50),
    AfterValidator(_drop_empty),
]
Amount = Annotated[Integer, Field(ge=1)]


class _Strict(BaseModel, extra="forbid", strict=True, frozen=True):
    pass


class CardDetails(_Strict):
    number: Text | None = None
    exp_month: Integer | None = None
    exp_year: Integer | None = None
    cvc: Text | None = None
    token: Text | None = None


class MethodData(_Strict):
    type: Literal["card"]
    card: CardDetails


class AutomaticPaymentMethods(_Strict):
    enabled: Boolean
    allow_redirects: Literal["always", "never"] = "always"


class Period(_Strict):
    gt: Integer | None = None
    gte: Integer | None = None
    lt: Integer | None = None
    lte: Integer | None = None


class Expandable(_Strict):
    expand: Texts = []


class CreateMethod(Expandable, MethodData):
    pass


class RetrieveIntent(Expandable):
    client_secret: Text | None = None


class ConfirmIntent(Expandable):
    payment_method: Text | None = None
    payment_method_data: MethodData | None = None
    use_stripe_sdk: Boolean | None = None


class CreateIntent(ConfirmIntent):
    amount: Amount
    currency: Text
    automatic_payment_methods: AutomaticPaymentMethods | None = None
    capture_method: Literal["automatic", "automatic_async", "manual"] = "automatic_async"
    confirm: Boolean = False
    description: Text | None = None
    metadata: Metadata = {}
    payment_method_types: Texts | None = None
    receipt_email: Text | None = None
    statement_descriptor_suffix: Text | None = None


class CaptureIntent(Expandable):
    amount_to_capture: Amount | None = None


class CancelIntent(Expandable):
    cancellation_reason: Literal["abandoned", "duplicate", "fraudulent", "requested_by_customer"] | None = (
        None
    )


class AuthenticateIntent(Expandable):
    client_secret: Text
    success: Boolean


class CreateRefund(Expandable):
    payment_intent: Text
    amount: Amount | None = None
    metadata: Metadata = {}
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None


class List(Expandable):
    created: Period = Period()
    limit: Annotated[Integer, Field(ge=1, le=100)] = 10
    starting_after: Text | None = None


class ListRefunds(List):
    payment_intent: Text | None = None


class ListEvents(List):
    type: Text | None = None
