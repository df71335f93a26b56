"""What the expiration service and its worker are told by their environment."""

from ticketing_common import config


class Settings(config.MongoSettings, config.NatsSettings):
    redis_url: config.RedisUrl
    """redis://host:6379/0, where RQ keeps its jobs. All of it may be lost: the ledger has everything."""
