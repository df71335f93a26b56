"""Settings of the commands: those of the service whose data they read and write."""

from contextlib import AbstractAsyncContextManager

from ticketing_common.config import MongoSettings, NatsSettings
from ticketing_common.messaging.bus import Bus, open_bus


class StoreSettings(MongoSettings, NatsSettings):
    """For commands that use both the database of a service and NATS."""


def open_command_bus(settings: NatsSettings, command: str) -> AbstractAsyncContextManager[Bus]:
    """A connection that applies the same settings to the stream as the services do."""
    return open_bus(settings.nats_url, command, settings.nats_replicas, settings.nats_max_bytes)
