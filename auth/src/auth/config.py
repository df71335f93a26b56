"""What the auth service is told by its environment."""

from ticketing_common.config import MongoSettings, SessionSettings


class Settings(MongoSettings, SessionSettings):
    """Nothing beyond what every service with a session has."""
