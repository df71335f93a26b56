"""`make up` with stand-ins for the services, as a program of its own that tests can send signals to.

BREAK=<part> makes that part die whenever it starts; STUBBORN=1 makes the services ignore SIGTERM.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from ticketing_local.plan import Plan, plan_parts
from ticketing_local.process import Part
from ticketing_local.settings import Settings
from ticketing_local.up import main


def with_stand_ins(settings: Settings, secrets: dict[str, str]) -> Plan:
    """The real plan, but each of our own programs is a stand-in, and of the stores only Redis is started."""
    real = plan_parts(settings, secrets)
    return replace(
        real, parts=[_stand_in(part) for part in real.parts if part.name not in ("mongod", "nats")]
    )


def _stand_in(part: Part) -> Part:
    if part.name == os.environ.get("BREAK"):
        return replace(part, command=[sys.executable, "-c", "print('cannot go on'); raise SystemExit(3)"])
    if part.command[0] != sys.executable:
        return part
    command = [sys.executable, "-S", str(Path(__file__).with_name("stand_in.py"))]
    stubborn = {"STUBBORN": os.environ.get("STUBBORN", "")}
    return replace(part, command=command, environment=part.environment | stubborn)


if __name__ == "__main__":
    main(with_stand_ins)
