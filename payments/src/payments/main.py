"""The composition root of the payments service."""

from functools import partial

from fastapi import FastAPI

from payments import routes, settlement
from payments.config import Settings
from payments.handlers import HANDLERS
from payments.repository import Payments
from payments.stripe_api import StripeApi
from ticketing_common import mongo
from ticketing_common.app import Parts, create_app, serve
from ticketing_common.config import load
from ticketing_common.dead_letters import DeadLetters
from ticketing_common.jetstream import Bus
from ticketing_common.listener import Listener
from ticketing_common.outbox import Relay


def create(settings: Settings) -> FastAPI:
    database = mongo.connect(settings.mongo_uri)
    bus = Bus(settings.nats_url, "payments", settings.nats_replicas, settings.nats_max_bytes)
    relay = Relay(bus)
    payments = Payments(database, relay)
    stripe = StripeApi(settings.stripe_key, settings.stripe_api_base)
    # Connections of its own: settlements that hang take none from the buyers' calls.
    settling = StripeApi(settings.stripe_key, settings.stripe_api_base)
    listener = Listener(bus, "payments", HANDLERS, payments, DeadLetters(database))
    return create_app(
        Parts(
            name="payments",
            settings=settings,
            router=routes.router,
            docs=routes.PREFIX,
            state={"payments": payments, "stripe": stripe},
            prepare=[payments.ensure_indexes, payments.open_all],
            jobs=[
                relay.run,
                listener.run,
                payments.arrivals.run,
                partial(settlement.run, payments, settling),
            ],
            checks={"mongo": partial(mongo.ping, database), "nats": bus.ping},
            close=[bus.close, stripe.close, settling.close],
        )
    )


def main() -> None:
    settings = load(Settings, "payments")
    serve(create(settings), settings)


if __name__ == "__main__":
    main()
