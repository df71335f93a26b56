"""Publishes the current state of aggregates again. One module for each service."""
