"""For tests of services: real servers, signed-in users, and the published events."""

from ticketing_common.testing.events import published, wait_until
from ticketing_common.testing.http import serve_app
from ticketing_common.testing.users import JWT_KEY, new_user, session

__all__ = ["JWT_KEY", "new_user", "published", "serve_app", "session", "wait_until"]
