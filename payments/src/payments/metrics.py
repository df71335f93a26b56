"""The metrics of the payments service."""

from prometheus_client import Counter, Gauge

WEBHOOKS = Counter("ticketing_webhooks_total", "Stripe's events, by type and outcome", ["type", "outcome"])
DISAGREEMENTS = Counter(
    "ticketing_payment_disagreements_total",
    "Payments whose records at Stripe and here disagree: see the log",
)
OLDEST_DUE = Gauge(
    "ticketing_payment_oldest_due_seconds",
    "Age of the oldest capture, void or refund that is still to be made",
)
