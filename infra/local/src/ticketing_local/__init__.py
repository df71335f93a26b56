"""Runs the whole stack on one machine without containers: `make up`, `make demo`, `make screenshots`."""
