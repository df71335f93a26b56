"""The metrics that all services have. A service's own metrics are in its metrics.py."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Histogram(
    "ticketing_http_request_seconds",
    "Time to answer an HTTP request, by route template",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
EVENTS_PUBLISHED = Counter(
    "ticketing_events_published_total", "Events acknowledged by JetStream", ["subject"]
)
OUTBOX_SWEPT = Counter("ticketing_outbox_swept_total", "Events in an outbox that the sweep found unpublished")
OUTBOX_OLDEST = Gauge(
    "ticketing_outbox_oldest_seconds",
    "Age of the oldest unpublished event that the sweep found in an outbox",
    ["collection"],
)
EVENTS_WAITING = Gauge(
    "ticketing_events_waiting",
    "Events that the stream has for this service and that are not acknowledged yet",
)
STREAM_BYTES = Gauge("ticketing_stream_bytes", "Bytes that the stream occupies on each of its servers")
STREAM_LIMIT_BYTES = Gauge(
    "ticketing_stream_limit_bytes",
    "Bytes at which the stream refuses events; 0 if it has no limit of its own",
)
EVENTS_HANDLED = Counter("ticketing_events_handled_total", "Deliveries, by outcome", ["subject", "outcome"])
JOB_FAILURES = Counter(
    "ticketing_background_job_failures_total",
    "Background jobs that ended in an error and were restarted",
    ["task"],  # `job` is a label of the scrape
)
EVENT_SECONDS = Histogram("ticketing_event_seconds", "Time to handle one event", ["subject"])
DEAD_LETTERS = Counter(
    "ticketing_dead_letters_total",
    "Events that could not be handled and were stored as dead letters",
    ["subject", "reason"],
)
DEAD_LETTERS_KEPT = Gauge("ticketing_dead_letters_kept", "Dead letters stored at present")
DEPENDENCY_UP = Gauge("ticketing_dependency_up", "1 while the dependency answers", ["dependency"])
