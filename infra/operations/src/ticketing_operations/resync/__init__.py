"""Publishes the current state of aggregates again, one module for each service."""
