"""The RQ worker: one process that releases jobs when they are due, runs them, and publishes what they miss.

The main thread is an event loop with the one NATS connection and the one MongoDB client that all jobs
use, and with /healthz, /readyz and /metrics, as of every service. There the worker also publishes from the
ledger what is overdue, whatever Redis does. RQ, which blocks, works in a second thread, without a fork
per job. rq's own `Worker.work` is not used: it ends on an error of Redis, and waits without hearing a signal
while Redis is down.
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
from expiration.jobs import CONNECTIONS, Connections, Publisher
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common.messaging.bus import Bus
from ticketing_common.observability.logs import get_logger
from ticketing_common.service import create_service, run_service
from ticketing_common.storage.mongo import connect

_TICK = 0.05
_RETRY = 0.5
_UPKEEP_EVERY = 30.0
_WORKER_TTL = 60
"""Seconds after its last sign of life, plus 60, until rq forgets a worker."""

log = get_logger(__name__)


class _Worker(SimpleWorker):
    death_penalty_class = TimerDeathPenalty  # rq's default needs the main thread


def create(settings: Settings) -> FastAPI:
    bus = Bus.from_settings(settings, "expiration-worker")
    database = connect(settings.mongo_uri)
    schedule = Schedule(settings.redis_url)
    publisher = Publisher(Ledger(database), bus)
    return create_service(
        "expiration-worker",
        settings,
        database=database,
        bus=bus,
        jobs=[partial(_run_jobs, publisher, bus, schedule), publisher.publish_overdue],
        checks={"redis": partial(asyncio.to_thread, schedule.ping)},
    )


async def _run_jobs(publisher: Publisher, bus: Bus, schedule: Schedule, stop: asyncio.Event) -> None:
    """Work until told to stop; the batch in hand is finished first."""
    stopping = threading.Event()
    CONNECTIONS.set(Connections(asyncio.get_running_loop(), publisher, stopping))
    connecting = asyncio.create_task(bus.connect())
    working = asyncio.create_task(asyncio.to_thread(work, schedule, stopping))
    await stop.wait()
    stopping.set()
    await working
    connecting.cancel()


def work(schedule: Schedule, stopping: threading.Event) -> None:
    """Release and run jobs until told to stop, however often Redis goes away or refuses writes meanwhile."""
    was_down = False
    while not stopping.is_set():
        try:
            # Before the worker registers itself: a full Redis lets jobs be removed, but nothing be added.
            schedule.release_due()
            worker = _register(schedule)
            was_down = False
            _work_while_redis_answers(worker, schedule, stopping)
        except RedisError as error:
            if not was_down:
                log.warning("waiting for redis", reason=str(error)[:200])
            was_down = True
        except Exception:
            log.exception("the rq worker failed, starting another")
        stopping.wait(_RETRY)


def _register(schedule: Schedule) -> _Worker:
    worker = _Worker([schedule.queue], connection=schedule.connection, worker_ttl=_WORKER_TTL)
    worker.register_birth()  # type: ignore[no-untyped-call]
    log.info("takes jobs", worker=worker.name)
    return worker


def _work_while_redis_answers(worker: _Worker, schedule: Schedule, stopping: threading.Event) -> None:
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
    logging.getLogger("rq").setLevel(logging.WARNING)  # a line or two a job
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    run_service("expiration worker", Settings, create)


if __name__ == "__main__":
    main()
