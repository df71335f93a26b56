"""`make up` with stand-ins for the services, as a program to which tests send signals.

BREAK=<name> makes that process exit whenever it starts; STUBBORN=1 makes the services ignore SIGTERM.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from ticketing_local.foreground import run
from ticketing_local.plan import Plan, plan_stack
from ticketing_local.process import ProcessSpec
from ticketing_local.settings import Settings


def with_stand_ins(settings: Settings, secrets: dict[str, str]) -> Plan:
    """The plan of `make up`, with a stand-in for each Python process, and of the stores only Redis."""
    real = plan_stack(settings, secrets)
    return replace(
        real, processes=[_stand_in(spec) for spec in real.processes if spec.name not in ("mongod", "nats")]
    )


def _stand_in(spec: ProcessSpec) -> ProcessSpec:
    if spec.name == os.environ.get("BREAK"):
        return replace(spec, command=[sys.executable, "-c", "print('cannot go on'); raise SystemExit(3)"])
    if spec.command[0] != sys.executable:
        return spec
    command = [sys.executable, "-S", str(Path(__file__).with_name("stand_in.py"))]
    stubborn = {"STUBBORN": os.environ.get("STUBBORN", "")}
    return replace(spec, command=command, environment=spec.environment | stubborn)


if __name__ == "__main__":
    sys.exit(run(with_stand_ins, time.monotonic()))
