"""Publishes the present state of tickets anew: docs/operations.md.

MONGO_URI=... NATS_URL=... python -m tickets.resync (ID ... | --all)
"""

import asyncio

from ticketing_common.resync import Source, resync
from tickets.models import Ticket, event_of

SOURCE = Source("tickets", "tickets", Ticket, lambda ticket: [event_of(ticket)])


async def main() -> int:
    return await resync(SOURCE)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
