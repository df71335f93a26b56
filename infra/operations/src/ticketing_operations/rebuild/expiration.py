"""Rebuilds expiration: no event has to be applied, because all its data comes from events of orders.

`replay.rebuild` deletes the consumer of the service, so the service consumes them again when it starts.
"""

from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.listener import Handlers
from ticketing_common.storage.mongo import Database

HANDLERS: Handlers = {}


def open_repository(database: Database, _bus: Bus) -> Database:
    return database
