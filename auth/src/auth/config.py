"""Settings of the auth service."""

from ticketing_common.config import MongoSettings, SessionSettings


class Settings(MongoSettings, SessionSettings):
    """No settings beyond MongoDB and the session."""
