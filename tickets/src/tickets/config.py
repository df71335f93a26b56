"""What the tickets service is told by its environment."""

from ticketing_common.config import SessionSettings


class Settings(SessionSettings):
    nats_url: str
