"""What the tickets service is told by its environment."""

from ticketing_common.config import SessionSettings


class Settings(SessionSettings):
    """Nothing beyond what every service with a session has."""
