"""Signed-in users, for tests."""

from ticketing_common.http.sessions import COOKIE, User, encode_token
from ticketing_common.values.ids import new_id

JWT_KEY = "a-key-for-tests-that-is-long-enough"


def new_user() -> User:
    identity = new_id()
    return User(identity, f"{identity}@example.com")


def session(user: User) -> dict[str, str]:
    """The headers of a request by this user."""
    return {"cookie": f"{COOKIE}={encode_token(user, [JWT_KEY])}"}
