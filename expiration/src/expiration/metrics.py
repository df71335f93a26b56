"""The metrics of the expiration service, beside those of every service."""

from prometheus_client import Counter, Gauge, Histogram

OVERDUE_SECONDS = Gauge(
    "ticketing_expiration_overdue_seconds", "How late the oldest expiry is that is due and not published"
)
PUBLISHED = Counter(
    "ticketing_expiration_published_total",
    "Expiries published, by what found them due: an RQ job, or the worker's own look at the ledger",
    ["source"],
)
for source in ("job", "ledger"):
    PUBLISHED.labels(source)
LATE_SECONDS = Histogram(
    "ticketing_expiration_late_seconds",
    "Time from an order's expiry to its publication",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300),
)
RESCHEDULED = Counter("ticketing_expiration_rescheduled_total", "Jobs given again to a Redis that lost them")
