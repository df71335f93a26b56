"""The metrics of the expiration service, beside those of every service."""

from prometheus_client import Counter, Gauge

OVERDUE_SECONDS = Gauge(
    "ticketing_expiration_overdue_seconds", "By how much the oldest expiry that is not told of is late"
)
OVERDUE_JOBS = Counter("ticketing_expiration_overdue_jobs_total", "Jobs queued because an expiry was overdue")
RESCHEDULED = Counter("ticketing_expiration_rescheduled_total", "Jobs given again to a Redis that lost them")
