"""Settings of the commands: those of the service whose data they work on."""

from ticketing_common.config import MongoSettings, NatsSettings


class StoreSettings(MongoSettings, NatsSettings):
    """For commands that need both the database of a service and NATS."""
