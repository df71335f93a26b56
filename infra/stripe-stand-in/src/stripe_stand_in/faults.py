"""Owns faults on demand: what goes wrong with which calls, as the tests wish it."""

import random
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stripe_stand_in.errors import Json, Refusal, invalid
from stripe_stand_in.ids import new_id

Kind = Literal["error", "delay", "lost", "down"]
_KINDS = ("error", "delay", "lost", "down")
_FIELDS = {
    "kind": (str,),
    "operation": (str,),
    "share": (int, float),
    "times": (int,),
    "seed": (int,),
    "status": (int,),
    "after": (bool,),
    "seconds": (int, float),
}


@dataclass
class Fault:
    """error: an answer of this status instead of the work, or `after` it; delay: `seconds` before it;
    lost: the work is done, the answer is not sent; down: neither."""

    kind: Kind
    operation: str | None = None
    """Method and path as the endpoint or the file has them; None: every call of Stripe's API."""
    share: float = 1.0
    times: int | None = None
    """After so many times it is over; None: never."""
    seed: int | None = None
    status: int = 500
    after: bool = False
    seconds: float = 0.0
    id: str = field(default_factory=lambda: new_id("fault_"))
    struck: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def strikes(self, operation: str, by_name_only: bool) -> bool:
        if self.operation != operation and (self.operation is not None or by_name_only):
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        if self.chance.random() >= self.share:
            return False
        self.struck += 1
        return True

    def shown(self) -> Json:
        names = [name for name in ("id", *_FIELDS, "struck") if getattr(self, name) is not None]
        return {name: getattr(self, name) for name in names}


def fault(body: Any) -> Fault:
    """From the body of a request; refused with the name of what is wrong."""
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    for name, value in body.items():
        kinds = _FIELDS.get(name)
        if kinds is None:
            raise invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise invalid(f"Invalid {name}: {value!r}", param=name)
    if body.get("kind") not in _KINDS:
        raise invalid(f"Invalid kind: must be one of {', '.join(_KINDS)}", param="kind")
    if not 0 <= body.get("share", 1) <= 1:
        raise invalid("Invalid share: must be between 0 and 1", param="share")
    if not 400 <= body.get("status", 500) <= 599:
        raise invalid("Invalid status: must be between 400 and 599", param="status")
    if body.get("seconds", 0) < 0:
        raise invalid("Invalid seconds: must not be negative", param="seconds")
    return Fault(**body)


class Faults:
    """The rules in force. They live as long as the process."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []

    def strike(self, operation: str, *, by_name_only: bool) -> tuple[float, Fault | None]:
        """For how long this call has to wait, and the first thing worse that strikes it."""
        delay = 0.0
        for rule in self.rules:
            if rule.strikes(operation, by_name_only):
                if rule.kind != "delay":
                    return delay, rule
                delay += rule.seconds
        return delay, None


def error(rule: Fault) -> Refusal:
    """What Stripe says with this status."""
    if rule.status == 429:
        message = "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits."
        return Refusal(429, "invalid_request_error", message, code="rate_limit")
    if rule.status == 409:
        message = (
            "This object cannot be accessed right now because another API request or Stripe process is "
            "currently accessing it. If you see this error intermittently, retry the request."
        )
        return Refusal(409, "invalid_request_error", message, code="lock_timeout")
    kind = "api_error" if rule.status >= 500 else "invalid_request_error"
    return Refusal(rule.status, kind, "An error was asked for.", stands=rule.after)


def is_kept(rule: Fault) -> bool:
    """Whether its idempotency key repeats the error, as it does once the work could have begun."""
    return rule.status not in (409, 429)


class NoAnswer(Response):
    """The connection is cut in the middle of an answer, as when the other side dies."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
