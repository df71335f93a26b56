"""The whole market on one machine, without containers: what `make up` and `make demo` run."""

import time

BEGAN = time.monotonic()
"""When this process began, near enough: before the imports that take the second that a person waits, too."""
