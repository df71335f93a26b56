"""Stripe's errors, from the table in errors.json."""

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_TABLE: dict[str, dict[str, Json]] = json.loads((Path(__file__).parent / "errors.json").read_text())
DECLINES = _TABLE["declines"]
"""By the outcome of a card (see cards.py)."""
_CARD_ERRORS = DECLINES | _TABLE["card details"]
_ERRORS: dict[str, Json] = {name: error for section in _TABLE.values() for name, error in section.items()}


class ApiError(Exception):
    """An answer other than 200. It undoes the operation's writes, unless `keeps_effects`.

    `values` are for the message's placeholders; `status` and `param` replace those of the table.
    """

    def __init__(
        self,
        name: str,
        *,
        details: Json | None = None,
        keeps_effects: bool = False,
        status: int | None = None,
        **values: Any,
    ) -> None:
        default = 402 if name in _CARD_ERRORS else _ERRORS[name].get("status", 400)
        self.status: int = status or default
        self.keeps_effects = keeps_effects
        fields = describe_error(name, self.status, **values) | (details or {})
        self.code: str | None = fields.get("code")
        self.body: Json = {"error": dict(sorted(fields.items()))}  # Stripe sorts the fields
        super().__init__(fields["message"])


def describe_error(name: str, status: int = 400, *, param: str | None = None, **values: Any) -> Json:
    """The fields of an error; those without a value are left out, as by Stripe."""
    kinds = {402: "card_error"} | dict.fromkeys(range(500, 600), "api_error")
    error = {"type": kinds.get(status, "invalid_request_error"), **_ERRORS[name]}
    error["message"] = error["message"].format(param=param, **values)
    error.pop("status", None)
    if param:
        error["param"] = param
    if "code" in error:
        error["doc_url"] = "https://stripe.com/docs/error-codes/" + error["code"].replace("_", "-")
    return error


def resource_missing(kind: str, object_id: str, *, param: str, status: int = 400) -> ApiError:
    """Stripe answers 404 if the unknown id is in the path, and 400 if it is a parameter."""
    name = "PaymentMethod" if kind == "payment_method" else kind
    return ApiError("resource_missing", kind=name, id=object_id, param=param, status=status)
