"""Metrics of the expiration service and its worker, besides those of every service."""

from prometheus_client import Counter, Gauge, Histogram

OVERDUE_SECONDS = Gauge(
    "ticketing_expiration_overdue_seconds", "Time since the oldest unpublished expiry was due"
)
PUBLISHED = Counter(
    "ticketing_expiration_published_total",
    "Published expiries by source: an RQ job, or the worker's check of the ledger",
    ["source"],
)
for source in ("job", "ledger"):
    PUBLISHED.labels(source)
LATE_SECONDS = Histogram(
    "ticketing_expiration_late_seconds",
    "Time from an order's expiry to its publication",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300),
)
MISSING_JOBS_ADDED = Counter(
    "ticketing_expiration_rescheduled_total", "Jobs that were missing in Redis and added again"
)
