"""Faults on demand: rules that make calls fail."""

import random
from typing import Any, Literal

from pydantic import BaseModel, Field, PrivateAttr
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stripe_stand_in.errors import ApiError, Json
from stripe_stand_in.objects import new_id


class Fault(BaseModel, extra="forbid", strict=True):
    """A rule. The README describes the kinds."""

    kind: Literal["error", "delay", "late", "lost", "down"]
    operation: str | None = None
    """Method and path, as in operations.py, or of a file; None: every call of Stripe's API."""
    share: float = Field(default=1, ge=0, le=1)
    """The share of the calls that fail, chosen at random."""
    times: int | None = None
    """How many calls fail at most."""
    seed: int | None = None
    status: int = Field(default=500, ge=400, le=599)
    after: bool = False
    seconds: float = Field(default=0, ge=0)

    _id: str = PrivateAttr(default_factory=lambda: new_id("fault_"))
    _struck: int = PrivateAttr(default=0)
    _random: random.Random = PrivateAttr()

    def model_post_init(self, _: Any) -> None:
        self._random = random.Random(self.seed)

    def strikes(self, operation: str, by_name_only: bool) -> bool:
        if self.operation != operation and (self.operation is not None or by_name_only):
            return False
        if self.times is not None and self._struck >= self.times:
            return False
        if self._random.random() >= self.share:
            return False
        self._struck += 1
        return True

    def describe(self) -> Json:
        return {"id": self._id, **self.model_dump(exclude_none=True), "struck": self._struck}

    def error(self) -> ApiError:
        """The error of Stripe's that has this status."""
        if not self.is_stored:
            return ApiError("rate_limit" if self.status == 429 else "lock_timeout")
        return ApiError("fault", status=self.status, keeps_effects=self.after)

    @property
    def is_stored(self) -> bool:
        """Whether the idempotency key repeats the error. It does once the operation can have begun."""
        return self.status not in (409, 429)


class Faults:
    """The rules in force. They last until they are removed or the process ends."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []

    def strike(self, operation: str, *, by_name_only: bool) -> tuple[float, Fault | None]:
        """The delay of this call in seconds, and the first other fault that strikes it."""
        delay = 0.0
        for rule in self.rules:
            if rule.strikes(operation, by_name_only):
                if rule.kind != "delay":
                    return delay, rule
                delay += rule.seconds
        return delay, None


class NoAnswer(Response):
    """Closes the connection in the middle of an answer, as a crashing server does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
