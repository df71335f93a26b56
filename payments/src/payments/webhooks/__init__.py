"""Stripe's signed events."""
