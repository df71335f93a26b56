"""Payments: money is authorised first, and moves only once the order is complete."""
