"""Settings of the tickets service."""

from ticketing_common.config import MongoSettings, NatsSettings, SessionSettings


class Settings(MongoSettings, NatsSettings, SessionSettings):
    """No settings beyond MongoDB, NATS and the session."""
