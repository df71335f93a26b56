"""The bodies of the auth service on the wire."""

from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, Secret

from auth.models import canonical
from ticketing_common.wire import Body, Says, Wire


def _address(text: str) -> str:
    try:
        # Not asked whether mail would arrive; names reserved for tests are addresses like any other.
        validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return canonical(text)


class SignUp(Body):
    email: Annotated[
        str,
        Field(max_length=320, json_schema_extra={"format": "email"}),
        AfterValidator(_address),
        Says("Email must be valid"),
    ]
    password: Annotated[
        Secret[Annotated[str, Field(min_length=8, max_length=128)]],
        Says("Password must be between 8 and 128 characters"),
    ]


class SignIn(Body):
    """Of any shape that can be compared: what is wrong with it is not told."""

    email: Annotated[str, Field(max_length=320), AfterValidator(canonical), Says("Email must be valid")]
    password: Annotated[Secret[Annotated[str, Field(max_length=1024)]], Says("You must supply a password")]


class UserOut(Wire):
    id: str
    email: str


class CurrentUserOut(Wire):
    current_user: UserOut | None


class SignedOut(Wire):
    """An empty object."""
