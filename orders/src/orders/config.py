"""What the orders service is told by its environment."""

from pydantic import PositiveInt

from ticketing_common.config import MongoSettings, SessionSettings


class Settings(MongoSettings, SessionSettings):
    nats_url: str
    expiration_window_seconds: PositiveInt = 15 * 60
    """How long an order holds its ticket unpaid."""
