"""Benchmarks of the services, each route beside a minimal baseline on the same store."""
