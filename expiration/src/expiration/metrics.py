"""The metrics of the expiration service, beside those of every service."""

from prometheus_client import Counter, Gauge, Histogram

OVERDUE_SECONDS = Gauge(
    "ticketing_expiration_overdue_seconds", "By how much the oldest expiry that is not told of is late"
)
OVERDUE_JOBS = Counter("ticketing_expiration_overdue_jobs_total", "Jobs queued because an expiry was overdue")
LATE_SECONDS = Histogram(
    "ticketing_expiration_late_seconds",
    "How long after its expiry an order was told of",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300),
)
RESCHEDULED = Counter("ticketing_expiration_rescheduled_total", "Jobs given again to a Redis that lost them")
