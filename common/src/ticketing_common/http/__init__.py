"""HTTP: the app factory, sessions, errors, health checks, pagination, and idempotent POST requests."""
