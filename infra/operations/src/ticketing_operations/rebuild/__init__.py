"""Brings a restored database up to date from the events in the stream. One module for each service."""
