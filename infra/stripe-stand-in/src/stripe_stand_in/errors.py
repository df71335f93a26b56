"""Owns Stripe's error shape: the one exception that carries an answer other than 200, and its wordings.

Refusal                 any answer but 200
  invalid()             400 (or 404, 409, 413) invalid_request_error: the request can't be done as it stands
  missing()             the same, for an id that does not exist
  card_error()          402: the bank, or a look at the card, says no
  unauthorized()        401: no key, or a wrong one
  api_error()           500: our own fault
"""

from typing import Any

Json = dict[str, Any]


class Refusal(Exception):
    """An answer in Stripe's error shape. What was written before it is undone, unless it `stands`."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        stands: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.stands = stands
        error = {
            "code": code,
            "doc_url": doc_url(code),
            "message": message,
            "param": param,
            **details,
            "type": kind,
        }
        # Stripe leaves out what it has nothing to say about, and sorts the rest.
        self.body: Json = {"error": {key: error[key] for key in sorted(error) if error[key] is not None}}


def doc_url(code: str | None) -> str | None:
    return code and "https://stripe.com/docs/error-codes/" + code.replace("_", "-")


def invalid(
    message: str, *, param: str | None = None, code: str | None = None, status: int = 400, **details: Any
) -> Refusal:
    return Refusal(status, "invalid_request_error", message, code=code, param=param, **details)


def missing(kind: str, object_id: str, *, param: str, status: int = 400) -> Refusal:
    """Stripe answers 404 when the unknown id is in the path, and 400 when it is a parameter."""
    return invalid(f"No such {kind}: '{object_id}'", param=param, code="resource_missing", status=status)


def card_error(code: str, message: str, **details: Any) -> Refusal:
    return Refusal(402, "card_error", message, code=code, **details)


def unauthorized(message: str) -> Refusal:
    return Refusal(401, "invalid_request_error", message)


def api_error() -> Refusal:
    return Refusal(500, "api_error", "An unknown error occurred in the Stripe stand-in; its log says more.")


def exclusive(params: Json, *names: str) -> None:
    """Refuse a request that has more than one of these parameters."""
    if sum(name in params for name in names) > 1:
        raise invalid(f"You may only specify one of these parameters: {', '.join(names)}.", param=names[0])
