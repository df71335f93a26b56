"""Chaos experiments: simulated users and injected faults on a whole stack, and checks of its invariants."""
