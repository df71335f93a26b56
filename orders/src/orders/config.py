"""Settings of the orders service."""

from pydantic import PositiveInt

from ticketing_common.config import MongoSettings, NatsSettings, SessionSettings


class Settings(MongoSettings, NatsSettings, SessionSettings):
    expiration_window_seconds: PositiveInt = 15 * 60
    """How long an unpaid order reserves its ticket."""
