"""Runs a service with changes that are made from outside, as it starts.

python -m ticketing_chaos.altered MODULE [CHANGE=ARGUMENT ...], for the changes in CHANGES.

It may run the code of another checkout, so it imports nothing that a change does not need.
"""

import importlib
import runpy
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo


def switch_guard_off(guard: str, _service: str) -> None:
    from ticketing_chaos.guards import GUARDS

    GUARDS[guard].off()


def shift_clock(seconds: str, _service: str) -> None:
    """Shift what the service takes for the present.

    Shifted: `ticketing_common.clock.now`, `time.time` (with it the time in new ids, and what RQ's jobs are
    compared with) and the moment at which PyJWT checks a token. Not shifted: `datetime.now` elsewhere (RQ's
    own bookkeeping, the logs), the monotonic clock, and the stores and Stripe, which are other processes.
    """
    shift, real_time = float(seconds), time.time
    time.time = lambda: real_time() + shift

    class AnyDatetime(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Shifted(datetime, metaclass=AnyDatetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=shift)

    for name in ("ticketing_common.clock", "jwt.api_jwt"):
        importlib.import_module(name).datetime = Shifted  # type: ignore[attr-defined]


_LESS = {
    "tickets": "order.cancelled",
    "orders": "ticket.updated",
    "payments": "order.completed",
    "expiration": "order.completed",
}


def change_subjects(change: str, service: str) -> None:
    """Have the service follow one subject `less` than it does, or one `more`, of which it keeps nothing."""
    handlers = importlib.import_module(f"{service}.handlers")
    followed = dict(handlers.HANDLERS)
    if change == "less":
        followed = {kind: on for kind, on in followed.items() if kind.subject != _LESS[service]}
    else:
        events = vars(importlib.import_module("ticketing_common.events")).values()
        others = [kind for kind in events if hasattr(kind, "subject") and kind not in followed]
        followed[others[0]] = _ignore
    handlers.HANDLERS = followed  # type: ignore[attr-defined]


async def _ignore(_event: object, _repository: object) -> None:
    return None


CHANGES: dict[str, Callable[[str, str], None]] = {
    "guard": switch_guard_off,
    "clock": shift_clock,
    "subjects": change_subjects,
}

if __name__ == "__main__":
    _, module, *changes = sys.argv
    for change in changes:
        name, _, argument = change.partition("=")
        CHANGES[name](argument, module.partition(".")[0])
    runpy.run_module(module, run_name="__main__")
