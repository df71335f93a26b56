"""The RQ worker: one process that releases the jobs when they are due and runs them.

The main thread is an event loop with the one NATS connection and the one MongoDB client that all jobs
use; RQ, which blocks, works in a second thread, without a fork per job. rq's own `Worker.work` is not
used: it ends on an error of Redis, and waits without hearing a signal while Redis is down.
"""

import asyncio
import logging
import signal
import threading
import time

from redis import RedisError
from rq import Queue, SimpleWorker
from rq.timeouts import TimerDeathPenalty

from expiration.config import Settings
from expiration.jobs import CONNECTIONS, Connections
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common import mongo
from ticketing_common.config import load
from ticketing_common.jetstream import Bus
from ticketing_common.logs import configure_logs, get_logger

_TICK = 0.05
_RETRY = 0.5
_UPKEEP_EVERY = 30.0
_WORKER_TTL = 60
"""Seconds after its last sign of life, plus 60, until rq forgets a worker."""

log = get_logger(__name__)


class _Worker(SimpleWorker):
    death_penalty_class = TimerDeathPenalty  # rq's default needs the main thread


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; the batch in hand is finished first."""
    stopping = threading.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    bus = Bus(settings.nats_url, "expiration-worker")
    connecting = asyncio.create_task(bus.connect())
    CONNECTIONS.set(Connections(loop, Ledger(mongo.connect(settings.mongo_uri)), bus, stopping))
    await asyncio.to_thread(work, Schedule(settings.redis_url), stopping)
    connecting.cancel()
    await bus.close()
    log.info("stopped")


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
    log.info("ready", worker=worker.name)
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
    configure_logs(settings.log_level, settings.log_format, "expiration-worker")
    logging.getLogger("rq").setLevel(logging.WARNING)  # a line or two a job
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
