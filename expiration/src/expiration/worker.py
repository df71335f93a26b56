"""The RQ worker: one process that releases the jobs when they are due and runs them.

The main thread is an event loop with the one NATS connection and the one MongoDB client that all jobs
use, and with /healthz, /readyz and /metrics, as of every service; RQ, which blocks, works in a second thread,
without a fork per job. rq's own `Worker.work` is not used: it ends on an error of Redis, and waits without
hearing a signal while Redis is down.
"""

import asyncio
import logging
import threading
import time
from functools import partial

from fastapi import FastAPI
from redis import RedisError
from rq import Queue, SimpleWorker
from rq.timeouts import TimerDeathPenalty

from expiration.config import Settings
from expiration.jobs import CONNECTIONS, Connections
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common import mongo
from ticketing_common.app import Parts, create_app, serve
from ticketing_common.config import load
from ticketing_common.jetstream import Bus
from ticketing_common.logs import get_logger

_TICK = 0.05
_RETRY = 0.5
_UPKEEP_EVERY = 30.0
_WORKER_TTL = 60
"""Seconds after its last sign of life, plus 60, until rq forgets a worker."""

log = get_logger(__name__)


class _Worker(SimpleWorker):
    death_penalty_class = TimerDeathPenalty  # rq's default needs the main thread


def create(settings: Settings) -> FastAPI:
    bus = Bus(settings.nats_url, "expiration-worker", settings.nats_replicas)
    database = mongo.connect(settings.mongo_uri)
    schedule = Schedule(settings.redis_url)
    return create_app(
        Parts(
            name="expiration-worker",
            settings=settings,
            jobs=[partial(_run, Ledger(database), bus, schedule)],
            checks={
                "mongo": partial(mongo.ping, database),
                "nats": bus.ping,
                "redis": partial(asyncio.to_thread, schedule.ping),
            },
            close=[bus.close],
        )
    )


async def _run(ledger: Ledger, bus: Bus, schedule: Schedule, stop: asyncio.Event) -> None:
    """Work until told to stop; the batch in hand is finished first."""
    stopping = threading.Event()
    CONNECTIONS.set(Connections(asyncio.get_running_loop(), ledger, bus, stopping))
    connecting = asyncio.create_task(bus.connect())
    working = asyncio.create_task(asyncio.to_thread(work, schedule, stopping))
    await stop.wait()
    stopping.set()
    await working
    connecting.cancel()


def work(schedule: Schedule, stopping: threading.Event) -> None:
    """Release and run jobs until told to stop, however often Redis goes away meanwhile."""
    while not stopping.is_set():
        try:
            _work_while_redis_answers(schedule, stopping)
        except RedisError as error:
            log.warning("waiting for redis", reason=str(error)[:200])
        except Exception:
            log.exception("the rq worker failed, starting another")
        stopping.wait(_RETRY)


def _work_while_redis_answers(schedule: Schedule, stopping: threading.Event) -> None:
    worker = _Worker([schedule.queue], connection=schedule.connection, worker_ttl=_WORKER_TTL)
    worker.register_birth()  # type: ignore[no-untyped-call]
    log.info("takes jobs", worker=worker.name)
    upkeep_at = 0.0
    while not stopping.is_set():
        if time.monotonic() >= upkeep_at:
            worker.heartbeat()
            worker.run_maintenance_tasks()  # type: ignore[no-untyped-call]
            upkeep_at = time.monotonic() + _UPKEEP_EVERY
        schedule.release_due()
        while dequeued := Queue.dequeue_any([schedule.queue], timeout=None, connection=schedule.connection):
            worker.execute_job(*dequeued)
        stopping.wait(_TICK)
    worker.register_death()  # type: ignore[no-untyped-call]


def main() -> None:
    settings = load(Settings, "expiration worker")
    app = create(settings)
    logging.getLogger("rq").setLevel(logging.WARNING)  # a line or two a job
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    serve(app, settings)


if __name__ == "__main__":
    main()
