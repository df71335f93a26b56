"""The metrics that only this service has."""

from prometheus_client import Counter, Gauge

WEBHOOKS = Counter("ticketing_webhooks_total", "Stripe's events, by what became of them", ["type", "outcome"])
DISAGREEMENTS = Counter(
    "ticketing_payment_disagreements_total",
    "Payments found about which Stripe and we disagree: look at the log",
)
OLDEST_DUE = Gauge(
    "ticketing_payment_oldest_due_seconds", "How long the oldest capture, void or refund has been waiting"
)
