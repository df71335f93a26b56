"""The one error that a person who starts the stack may see."""


class StackError(Exception):
    """The stack cannot start or go on; the message says why, and what to do."""
