"""The payments service, which kills itself with SIGKILL at the failpoint that a file names.

The failpoints: `<method>:before` and `<method>:after` a call to Stripe, and `written:<status>` after a write
that gives the payment this status. The process removes the file first, so that it dies once.
"""

import os
import signal
from pathlib import Path
from typing import Any

from payments.main import main
from payments.payment.repository import Payments
from payments.stripe.client import StripeApi

FAILPOINT_FILE = Path(os.environ["FAILPOINT_FILE"])


def die_at(failpoint: str) -> None:
    """Kills the process if the file names this failpoint."""
    if FAILPOINT_FILE.exists() and FAILPOINT_FILE.read_text() == failpoint:
        FAILPOINT_FILE.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def add_failpoints_to_call(name: str) -> None:
    call = getattr(StripeApi, name)

    async def call_with_failpoints(self: StripeApi, *arguments: Any) -> Any:
        die_at(f"{name}:before")
        result = await call(self, *arguments)
        die_at(f"{name}:after")
        return result

    setattr(StripeApi, name, call_with_failpoints)


def add_failpoints_to_writes() -> None:
    change = Payments.change

    async def change_with_failpoint(self: Payments, *arguments: Any) -> Any:
        changed = await change(self, *arguments)
        die_at(f"written:{changed.status}")
        return changed

    Payments.change = change_with_failpoint  # type: ignore[method-assign, assignment]


for name in ("create", "confirm", "capture", "void", "refund"):
    add_failpoints_to_call(name)
add_failpoints_to_writes()
main()
