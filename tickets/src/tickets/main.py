"""The composition root of the tickets service."""

from functools import partial

from fastapi import FastAPI

from ticketing_common import mongo
from ticketing_common.app import Parts, create_app, serve
from ticketing_common.config import load
from ticketing_common.dead_letters import DeadLetters
from ticketing_common.jetstream import Bus
from ticketing_common.listener import Listener
from ticketing_common.outbox import Relay
from tickets import routes
from tickets.config import Settings
from tickets.feed import Feed
from tickets.handlers import HANDLERS
from tickets.repository import Tickets


def create(settings: Settings) -> FastAPI:
    database = mongo.connect(settings.mongo_uri)
    bus = Bus(settings.nats_url, "tickets", settings.nats_replicas, settings.nats_max_bytes)
    relay = Relay(bus)
    tickets = Tickets(database, relay)
    listener = Listener(bus, "tickets", HANDLERS, tickets, DeadLetters(database))
    feed = Feed(bus)
    return create_app(
        Parts(
            name="tickets",
            settings=settings,
            router=routes.router,
            docs=routes.PREFIX,
            state={"tickets": tickets, "feed": feed},
            prepare=[tickets.ensure_indexes],
            jobs=[relay.run, listener.run, feed.run],
            checks={"mongo": partial(mongo.ping, database), "nats": bus.ping},
            close=[bus.close],
        )
    )


def main() -> None:
    settings = load(Settings, "tickets")
    serve(create(settings), settings)


if __name__ == "__main__":
    main()
