"""Refunding a captured payment."""
