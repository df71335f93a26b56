"""Users who are signed in, for tests."""

from ticketing_common.auth import COOKIE, User, sign
from ticketing_common.mongo import new_id

JWT_KEY = "a-key-for-tests-that-is-long-enough"


def new_user() -> User:
    identity = new_id()
    return User(identity, f"{identity}@example.com")


def session(user: User) -> dict[str, str]:
    """The headers by which a request comes from this user."""
    return {"cookie": f"{COOKIE}={sign(user, [JWT_KEY])}"}
