"""The composition root of the expiration service: it follows the orders; the worker runs beside it."""

import asyncio
from functools import partial

from fastapi import FastAPI

from expiration.config import Settings
from expiration.handlers import HANDLERS, Expirations
from expiration.pending import PendingJobs
from expiration.reconcile import reconcile
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common import mongo
from ticketing_common.app import Parts, create_app, serve
from ticketing_common.config import load
from ticketing_common.dead_letters import DeadLetters
from ticketing_common.jetstream import Bus
from ticketing_common.listener import Listener


def create(settings: Settings) -> FastAPI:
    database = mongo.connect(settings.mongo_uri)
    bus = Bus(settings.nats_url, "expiration", settings.nats_replicas, settings.nats_max_bytes)
    ledger = Ledger(database)
    schedule = Schedule(settings.redis_url)
    jobs = PendingJobs(schedule)
    listener = Listener(bus, "expiration", HANDLERS, Expirations(ledger, jobs), DeadLetters(database))
    return create_app(
        Parts(
            name="expiration",
            settings=settings,
            prepare=[ledger.ensure_indexes],
            jobs=[listener.run, partial(reconcile, ledger, schedule, jobs)],
            checks={
                "mongo": partial(mongo.ping, database),
                "nats": bus.ping,
                "redis": partial(asyncio.to_thread, schedule.ping),
            },
            close=[bus.close],
        )
    )


def main() -> None:
    settings = load(Settings, "expiration")
    serve(create(settings), settings)


if __name__ == "__main__":
    main()
