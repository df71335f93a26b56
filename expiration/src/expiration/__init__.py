"""The expiration service: consumes orders and publishes when an unpaid one has expired."""
