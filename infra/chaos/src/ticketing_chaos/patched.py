"""Starts a service with patches: `python -m ticketing_chaos.patched MODULE [PATCH=ARGUMENT ...]`.

The service may be of another checkout, so nothing is imported that a patch does not need.
"""

import importlib
import importlib.util
import runpy
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

from ticketing_chaos.guards import GUARDS


def shift_clock(seconds: str, _service: str) -> None:
    """Shift `ticketing_common`'s clock, `time.time` (hence new ids and RQ's schedule), and PyJWT's clock.

    Not shifted: `datetime.now` elsewhere (RQ's own bookkeeping, logs), and the monotonic clock.
    """
    shift, real_time = float(seconds), time.time
    time.time = lambda: real_time() + shift

    class AnyDatetime(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class ShiftedDatetime(datetime, metaclass=AnyDatetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=shift)

    old_clock = "ticketing_common.clock"  # of versions before 2.0
    clock = old_clock if importlib.util.find_spec(old_clock) else "ticketing_common.values.clock"
    for name in (clock, "jwt.api_jwt"):
        importlib.import_module(name).datetime = ShiftedDatetime  # type: ignore[attr-defined]


def drop_subject(subject: str, service: str) -> None:
    """Do not consume this subject."""
    handlers = importlib.import_module(f"{service}.handlers")
    kept = {kind: handler for kind, handler in handlers.HANDLERS.items() if kind.subject != subject}
    handlers.HANDLERS = kept  # type: ignore[attr-defined]


PATCHES: dict[str, Callable[[str, str], None]] = {
    "guard": lambda guard, _service: GUARDS[guard].disable(),
    "clock": shift_clock,
    "without": drop_subject,
}

if __name__ == "__main__":
    _, module, *patches = sys.argv
    for patch in patches:
        name, _, argument = patch.partition("=")
        PATCHES[name](argument, module.partition(".")[0])
    runpy.run_module(module, run_name="__main__")
