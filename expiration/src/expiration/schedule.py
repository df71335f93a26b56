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
            # Once, at once: for a connection that an earlier Redis left behind. What Redis misses
            # while it is down, the reconciler makes up for.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
        )
        self.queue = Queue(QUEUE, connection=self.connection)
        self._scheduled = self.queue.scheduled_job_registry

    def ping(self) -> None:
        self.connection.ping()

    def add(self, expiries: Mapping[str, datetime]) -> None:
        """Give every order (id to time) its job; one that it has already is replaced."""
        with self.connection.pipeline() as pipeline:
            for order_id, expires_at in expiries.items():
                self._job(order_id, JobStatus.SCHEDULED).save(pipeline=pipeline)
                pipeline.zadd(self._scheduled.key, {order_id: expires_at.timestamp()})
            pipeline.execute()

    def remove(self, order_id: str) -> None:
        """Take back an order's job. One that is released is left: it may be there for other orders too."""
        if self.connection.zrem(self._scheduled.key, order_id):
            self.connection.delete(Job.key_for(order_id))

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
        first, *others = due
        with self.connection.pipeline() as pipeline:
            self.queue.enqueue_job(self._job(first), pipeline=pipeline)  # rq wants to be the first
            pipeline.zrem(self._scheduled.key, *due)
            if others:
                pipeline.delete(*map(Job.key_for, others))
            pipeline.execute()

    def run_now(self) -> bool:
        """Have the worker run a job of no order at once. False when one waits for the worker already."""
        if self.queue.count:
            return False
        self.queue.enqueue_job(self._job(None))
        return True

    def _job(self, order_id: str | None, status: JobStatus = JobStatus.QUEUED) -> Job:
        return self.queue.create_job(
            expire_due,
            job_id=order_id,
            status=status,
            timeout=-1,  # it ends by itself: each of its waits is bounded
            result_ttl=0,
            failure_ttl=_FAILED_KEPT,
        )
