"""The error that ends `make up` with a message."""


class StackError(Exception):
    """The stack cannot start or continue. The message says why, and what to do."""
