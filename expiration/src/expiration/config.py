"""What the expiration service and its worker are told by their environment."""

from ticketing_common.config import MongoSettings, NatsSettings, RedisUrl


class Settings(MongoSettings, NatsSettings):
    redis_url: RedisUrl
    """redis://host:6379/0, where RQ keeps its jobs. All of it may be lost: the ledger has everything."""
