"""Orders: the one service that decides who has a ticket."""
