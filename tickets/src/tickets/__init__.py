"""Listings: what sellers offer, and whether an order holds it."""
