"""Plain values without I/O: aggregates, ids, money, time, errors, events, and the shape of JSON bodies."""
