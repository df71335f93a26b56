"""Publishes the expiry of overdue orders anew, unless they are decided: docs/operations.md.

MONGO_URI=... NATS_URL=... python -m expiration.resync (ID ... | --all)
"""

import asyncio

from expiration.models import Entry
from ticketing_common.clock import now
from ticketing_common.events import Event, ExpirationComplete
from ticketing_common.resync import Source, resync


def events_of(entry: Entry) -> list[Event]:
    """One that was published before may have been lost: orders cancels only what is not decided."""
    is_due = entry.version == 0 and entry.expires_at <= now()
    return [ExpirationComplete(order_id=entry.id)] if is_due else []


SOURCE = Source("expiration", "entries", Entry, events_of)


async def main() -> int:
    return await resync(SOURCE)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
