"""Bringing Stripe in line with each payment's document."""
