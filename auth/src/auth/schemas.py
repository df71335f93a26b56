"""The request and response bodies of the auth service."""

from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, Secret

from auth.models import Account, normalize_email
from ticketing_common.values.wire import ErrorMessage, RequestBody, WireModel


def _check_email(text: str) -> str:
    try:
        # Syntax only: no DNS look-up, and domains reserved for tests are allowed.
        validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return normalize_email(text)


class SignUp(RequestBody):
    email: Annotated[
        str,
        Field(max_length=320, json_schema_extra={"format": "email"}),
        AfterValidator(_check_email),
        ErrorMessage("Email must be valid"),
    ]
    password: Annotated[
        Secret[Annotated[str, Field(min_length=8, max_length=128)]],
        ErrorMessage("Password must be between 8 and 128 characters"),
    ]


class SignIn(RequestBody):
    """Accepts any email and password, so that the response does not reveal which one is wrong."""

    email: Annotated[
        str,
        Field(max_length=320),
        AfterValidator(normalize_email),
        ErrorMessage("Email must be valid"),
    ]
    password: Annotated[
        Secret[Annotated[str, Field(max_length=1024)]],
        ErrorMessage("You must supply a password"),
    ]


class UserOut(WireModel):
    id: str
    email: str

    @classmethod
    def of(cls, account: Account) -> "UserOut":
        return cls(id=account.id, email=account.email)


class CurrentUserOut(WireModel):
    current_user: UserOut | None


class SignedOut(WireModel):
    """An empty object."""
