"""What the tickets service is told by its environment."""

from ticketing_common.config import MongoSettings, SessionSettings


class Settings(MongoSettings, SessionSettings):
    nats_url: str
