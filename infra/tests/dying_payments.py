"""The payments service, but it kills itself (-9) at the point that a file names. It exists for tests alone.

The points: `<call>:before` and `<call>:after` one of the calls to Stripe, and `written:<status>` after a
write that gives the payment this status. The file is removed first, so that one arming is one death.
"""

import os
import signal
from pathlib import Path
from typing import Any

from payments.main import main
from payments.payment.repository import Payments
from payments.stripe.client import StripeApi

ARMED = Path(os.environ["FAILPOINT_FILE"])


def die_if_armed(point: str) -> None:
    if ARMED.exists() and ARMED.read_text() == point:
        ARMED.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def watch_call(name: str) -> None:
    call = getattr(StripeApi, name)

    async def watched(self: StripeApi, *arguments: Any) -> Any:
        die_if_armed(f"{name}:before")
        answer = await call(self, *arguments)
        die_if_armed(f"{name}:after")
        return answer

    setattr(StripeApi, name, watched)


def watch_writes() -> None:
    change = Payments.change

    async def watched(self: Payments, *arguments: Any) -> Any:
        after = await change(self, *arguments)
        die_if_armed(f"written:{after.status}")
        return after

    Payments.change = watched  # type: ignore[method-assign]


for name in ("create", "confirm", "capture", "void", "refund"):
    watch_call(name)
watch_writes()
main()
