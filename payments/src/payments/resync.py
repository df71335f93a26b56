"""Publishes anew what payments announce in their present state: docs/operations.md.

MONGO_URI=... NATS_URL=... python -m payments.resync (ID ... | --all)
"""

import asyncio

from payments.models import Payment, announce
from ticketing_common.events import Event
from ticketing_common.resync import Source, resync


def events_of(payment: Payment) -> list[Event]:
    """The one event that orders decides by, or none: nothing is announced about most payments."""
    event = announce(payment)
    return [] if event is None else [event]


SOURCE = Source("payments", "payments", Payment, events_of)


async def main() -> int:
    return await resync(SOURCE)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
