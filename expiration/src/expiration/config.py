"""Settings of the expiration service and its worker."""

from ticketing_common.config import MongoSettings, NatsSettings, RedisUrl


class Settings(MongoSettings, NatsSettings):
    redis_url: RedisUrl
    """redis://host:6379/0, for RQ's jobs. Redis may lose its data: the jobs are recreated from the ledger."""
