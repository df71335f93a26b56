"""`make up`: start the market, show what it says, and stop it all at Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from ticketing_local.stack import Planner


def main(plan: Planner | None = None) -> None:
    signal.signal(signal.SIGINT, _exit_at_once)
    # Imported here, because these take a second in which Ctrl-C would be a traceback.
    from ticketing_local.parts import plan_parts
    from ticketing_local.serve import run

    sys.exit(run(plan or plan_parts))


def _exit_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Handles Ctrl-C until the parts are started: nothing runs yet that would have to be stopped."""
    os.write(sys.stdout.fileno(), b"\nStopped before anything was started.\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
