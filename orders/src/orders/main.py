"""The composition root of the orders service."""

from functools import partial

from fastapi import FastAPI

from orders import routes
from orders.config import Settings
from orders.handlers import HANDLERS
from orders.repository import Orders
from ticketing_common import mongo
from ticketing_common.app import Parts, create_app, serve
from ticketing_common.config import load
from ticketing_common.dead_letters import DeadLetters
from ticketing_common.jetstream import Bus
from ticketing_common.listener import Listener
from ticketing_common.outbox import Relay


def create(settings: Settings) -> FastAPI:
    database = mongo.connect(settings.mongo_uri)
    bus = Bus(settings.nats_url, "orders", settings.nats_replicas, settings.nats_max_bytes)
    relay = Relay(bus)
    orders = Orders(database, relay)
    listener = Listener(bus, "orders", HANDLERS, orders, DeadLetters(database))
    return create_app(
        Parts(
            name="orders",
            settings=settings,
            router=routes.router,
            docs=routes.PREFIX,
            state={"orders": orders},
            prepare=[orders.ensure_indexes],
            jobs=[relay.run, listener.run, orders.arrivals.run],
            checks={"mongo": partial(mongo.ping, database), "nats": bus.ping},
            close=[bus.close],
        )
    )


def main() -> None:
    settings = load(Settings, "orders")
    serve(create(settings), settings)


if __name__ == "__main__":
    main()
