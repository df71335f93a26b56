"""Comparing Stripe's records with ours."""
