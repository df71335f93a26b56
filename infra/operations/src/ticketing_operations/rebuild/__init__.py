"""Rebuilds a restored database from the events in the stream, one module for each service."""
