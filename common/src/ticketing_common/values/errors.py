"""The errors that a client may see.

    MarketError                     400  invalid input, or a rule of the market is violated
    ├── NotSignedIn                 401
    ├── NotYours                    401  signed in, but not the owner
    ├── ForeignOrigin               403  a state-changing request from another site
    ├── NotFound                    404  unknown id
    ├── BodyTooLarge                413
    ├── TooManyAttempts             429  with Retry-After
    └── Unavailable                 503  a dependency is down, with Retry-After

A service adds its own rules as subclasses of MarketError in its models.py. On the wire (`http.errors`):
{"errors": [{"message": "...", "field": "..."?, "code": "..."?}]}.
"""

from typing import ClassVar

from pydantic import BaseModel
from pydantic.json_schema import SkipJsonSchema


class ErrorDetail(BaseModel):
    """One problem. `field` names a field of the request, `code` is for programs."""

    message: str
    field: str | SkipJsonSchema[None] = None
    code: str | SkipJsonSchema[None] = None


class ErrorBody(BaseModel):
    """The body of every response that is not 2xx."""

    errors: list[ErrorDetail]


class MarketError(Exception):
    """A request that is rejected. `message` is a sentence for the person who sent it."""

    status: ClassVar[int] = 400
    message: ClassVar[str] = "The request is not valid"

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.detail = ErrorDetail(message=message or self.message, field=field, code=code)
        self.retry_after = retry_after
        """Seconds after which the client may retry."""
        super().__init__(self.detail.message)


class NotSignedIn(MarketError):
    status = 401
    message = "You are not signed in"


class NotYours(MarketError):
    status = 401
    message = "This belongs to somebody else"


class ForeignOrigin(MarketError):
    status = 403
    message = "Requests from another site are refused"


class NotFound(MarketError):
    """`kind` names what does not exist, such as "ticket"."""

    status = 404
    message = "Not found"

    def __init__(self, kind: str | None = None) -> None:
        super().__init__(kind and f"There is no such {kind}")


class BodyTooLarge(MarketError):
    status = 413
    message = "The request body is larger than 64 KiB"


class TooManyAttempts(MarketError):
    status = 429
    message = "Too many tries, please wait"


class Unavailable(MarketError):
    status = 503
    message = "The service is not available at the moment, please try again"

    def __init__(self, message: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(message, retry_after=retry_after)
