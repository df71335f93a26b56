"""Sessions: a signed token in a cookie, and the dependencies for routes that need the signed-in user."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import jwt
from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from ticketing_common.config import SessionSettings
from ticketing_common.values.clock import now
from ticketing_common.values.errors import NotSignedIn

COOKIE = "session"
LIFETIME = timedelta(days=7)
CLOCK_SKEW = timedelta(seconds=30)
"""How much the clocks of two services may differ."""
_ALGORITHM = "HS256"


@dataclass(frozen=True)
class User:
    id: str
    email: str


def encode_token(user: User, keys: list[str], at: datetime | None = None) -> str:
    """A token for the user, valid for 7 days from `at`, signed with the first key."""
    issued = at or now()
    claims = {"id": user.id, "email": user.email, "iat": issued, "exp": issued + LIFETIME}
    return jwt.encode(claims, keys[0], _ALGORITHM)


def decode_token(token: str, keys: list[str]) -> User | None:
    """The user in a token; None if it is invalid or expired under every key."""
    for key in keys:
        try:
            claims = jwt.decode(
                token,
                key,
                [_ALGORITHM],
                options={"require": ["exp", "iat", "id", "email"]},
                leeway=CLOCK_SKEW,
            )
        except jwt.InvalidTokenError:
            continue
        if isinstance(claims["id"], str) and isinstance(claims["email"], str):
            return User(claims["id"], claims["email"])
    return None


def start_session(response: Response, user: User, settings: SessionSettings) -> None:
    _set_cookie(response, encode_token(user, settings.jwt_key), int(LIFETIME.total_seconds()), settings)


def end_session(response: Response, settings: SessionSettings) -> None:
    _set_cookie(response, "", 0, settings)


def _set_cookie(response: Response, value: str, max_age: int, settings: SessionSettings) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=max_age,
        path="/",
        httponly=True,
        samesite="lax",
        secure=settings.cookie_secure,
    )


def session_user(request: Request) -> User | None:
    token = request.cookies.get(COOKIE)
    return decode_token(token, request.app.state.settings.jwt_key) if token else None


# The dependencies are async, because FastAPI runs plain functions in a thread, which costs more than they do.
# None depends on another one, because solving a dependency costs as much as these do themselves.
async def optional_user(request: Request) -> User | None:
    return session_user(request)


OptionalUser = Annotated[User | None, Depends(optional_user)]


async def current_user(request: Request) -> User:
    """Raises NotSignedIn."""
    user = session_user(request)
    if user is None:
        raise NotSignedIn
    return user


CurrentUser = Annotated[User, Depends(current_user)]


def lacks_session(request: Request) -> bool:
    """Whether the request's route needs a signed-in user and there is none.

    FastAPI validates the body before it solves dependencies, so the error handlers check the session first.
    """
    route = request.scope.get("route")
    needs_user = isinstance(route, APIRoute) and any(
        d.call is current_user for d in route.dependant.dependencies
    )
    return needs_user and session_user(request) is None
