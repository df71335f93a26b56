"""The jobs in Redis: one per order, whose id is the order's, and when RQ runs them.

rq's own scheduler is not used: it cuts times to whole seconds, looks once a second, and is a forked
process that outlives a worker that was killed. The jobs lie in rq's own structures all the same, so
`rq info` and rq's API show them. Everything here blocks, for at most a second or two, and raises
redis.RedisError when Redis is out of reach.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry
from rq import Queue
from rq.job import Job, JobStatus

from expiration.jobs import expire_due

QUEUE = "expiration"

_FAILED_KEPT = 600
"""Seconds: a failed job is of no use but to somebody who looks into it now."""
_RELEASED_AT_ONCE = 1_000


class Schedule:
    def __init__(self, redis_url: str) -> None:
        self.connection: Redis = Redis.from_url(
            redis_url,
            socket_connect_timeout=1,
            socket_timeout=1,
            # Once, at once: for a connection that an earlier Redis left behind. The reconciler adds what
            # Redis misses while it is down.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
        )
        self.queue = Queue(QUEUE, connection=self.connection)
        self._scheduled = self.queue.scheduled_job_registry

    def ping(self) -> None:
        """Raises redis.RedisError unless Redis takes a write now: a full Redis or a replica answers PING."""
        self.connection.set("expiration:ping", 1, ex=60)

    def add(self, expiries: Mapping[str, datetime]) -> None:
        """Give every order (id to time) its job; one that it has already is replaced."""
        with self.connection.pipeline() as pipeline:
            for order_id, expires_at in expiries.items():
                self._job(order_id, JobStatus.SCHEDULED).save(pipeline=pipeline)
                pipeline.zadd(self._scheduled.key, {order_id: expires_at.timestamp()})
            pipeline.execute()

    def remove(self, order_ids: Iterable[str]) -> None:
        """Remove the orders' jobs. One that is released already is kept: it may stand for others too."""
        wanted = list(order_ids)
        with self.connection.pipeline(transaction=False) as pipeline:
            for order_id in wanted:
                pipeline.zrem(self._scheduled.key, order_id)
            removed = [
                i for i, was_scheduled in zip(wanted, pipeline.execute(), strict=True) if was_scheduled
            ]
        if removed:
            self.connection.delete(*map(Job.key_for, removed))

    def without_job(self, order_ids: Iterable[str]) -> set[str]:
        """Those of the orders that have no job."""
        wanted = list(order_ids)
        scores = self.connection.zmscore(self._scheduled.key, wanted) if wanted else []
        return {order_id for order_id, score in zip(wanted, scores, strict=True) if score is None}

    def release_due(self) -> None:
        """Have the worker run what is due by now.

        A job expires every order that is due, not only its own, so of those released together one
        is enough: that is what lets thousands expire in the same second.
        """
        due = self._scheduled.get_jobs_to_schedule(
            time.time(),  # passed on as it is, though rq says whole seconds
            _RELEASED_AT_ONCE,
        )
        if not due:
            return
        # Removed first: a full Redis allows that, and has room again. If Redis then refuses the job, or this
        # process dies in between, the worker publishes from the ledger.
        with self.connection.pipeline() as pipeline:
            pipeline.zrem(self._scheduled.key, *due)
            pipeline.delete(*map(Job.key_for, due))
            pipeline.execute()
        self.queue.enqueue_job(self._job(due[0]))

    def _job(self, order_id: str, status: JobStatus = JobStatus.QUEUED) -> Job:
        return self.queue.create_job(
            expire_due,
            job_id=order_id,
            status=status,
            timeout=-1,  # it ends by itself: each of its waits is bounded
            result_ttl=0,
            failure_ttl=_FAILED_KEPT,
        )
