"""What the tickets service is told by its environment."""

from ticketing_common.config import MongoSettings, NatsSettings, SessionSettings


class Settings(MongoSettings, NatsSettings, SessionSettings):
    """Nothing beyond what every service with a session has that publishes and follows events."""
