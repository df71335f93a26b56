"""Metrics of the tickets service, besides those of every service."""

from prometheus_client import Gauge

OPEN_STREAMS = Gauge("ticketing_ticket_listeners", "Open streams of ticket events")
