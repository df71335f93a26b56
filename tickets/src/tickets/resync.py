"""Publishes the present state of tickets anew: docs/operations.md.

MONGO_URI=... NATS_URL=... python -m tickets.resync (ID ... | --all)
"""

import asyncio

from ticketing_common.resync import Source, resync
from tickets.models import Ticket, announce

SOURCE = Source("tickets", "tickets", Ticket, lambda ticket: [announce(ticket)])


async def main() -> int:
    return await resync(SOURCE)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
