"""Runs the given command, and restarts it when a file of the service changes. For development."""

import os
import shlex
import sys
import sysconfig
from pathlib import Path

from watchfiles import run_process

packages = Path(sysconfig.get_path("purelib"))
run_process(
    *(packages / name for name in (os.environ["SERVICE"], "ticketing_common")),
    target=shlex.join(sys.argv[1:]),
    target_type="command",
    callback=lambda changes: print("Changed:", *sorted({path for _, path in changes}), flush=True),
)
