"""The tickets service: the listings of sellers, and whether each ticket is reserved."""
