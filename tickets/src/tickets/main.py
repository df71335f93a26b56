"""The composition root of the tickets service."""

from fastapi import FastAPI

from ticketing_common.messaging.bus import Bus
from ticketing_common.service import create_service, run_service
from ticketing_common.storage.mongo import connect
from ticketing_common.storage.outbox import Outbox
from tickets import routes
from tickets.config import Settings
from tickets.feed import Feed
from tickets.handlers import HANDLERS
from tickets.repository import Tickets


def create(settings: Settings) -> FastAPI:
    database = connect(settings.mongo_uri)
    bus = Bus.from_settings(settings, "tickets")
    outbox = Outbox()
    tickets = Tickets(database, outbox)
    feed = Feed(bus)
    return create_service(
        "tickets",
        settings,
        database=database,
        bus=bus,
        outbox=outbox,
        consumes=(HANDLERS, tickets),
        router=routes.router,
        state={"tickets": tickets, "feed": feed},
        prepare=[tickets.ensure_indexes],
        jobs=[feed.run],
    )


def main() -> None:
    run_service("tickets", Settings, create)


if __name__ == "__main__":
    main()
