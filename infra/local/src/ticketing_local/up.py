"""`make up`: starts the stack, shows its logs, and stops it at Ctrl-C."""

import os
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

STARTED_AT = time.monotonic()


def main() -> None:
    signal.signal(signal.SIGINT, _exit_at_once)
    # These imports take a second. At the top of the file, Ctrl-C during them would print a traceback.
    from ticketing_local.foreground import run
    from ticketing_local.plan import plan_stack

    sys.exit(run(plan_stack, STARTED_AT))


def _exit_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Handle Ctrl-C while there is no process to stop."""
    os.write(sys.stdout.fileno(), b"\nStopped before anything was started.\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
