"""Publishes the current state of aggregates again, after a consumer has lost an event: docs/operations.md.

    MONGO_URI=... NATS_URL=... python -m ticketing_operations resync SERVICE ID [ID ...]
    MONGO_URI=... NATS_URL=... python -m ticketing_operations resync SERVICE --all

Safe at any time, also while the service runs: consumers drop events that they have already applied.
"""

from collections.abc import Sequence
from typing import Any

from ticketing_operations.arguments import command_parser
from ticketing_operations.resync import expiration, orders, payments, tickets
from ticketing_operations.resync.publish import Source, resync

_SOURCES: dict[str, Source[Any]] = {
    source.service: source for source in (expiration.SOURCE, orders.SOURCE, payments.SOURCE, tickets.SOURCE)
}


async def main(arguments: Sequence[str]) -> int:
    parser = command_parser("resync", __doc__)
    parser.add_argument("service", choices=sorted(_SOURCES))
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", metavar="ID", default=[], help="which ones")
    which.add_argument("--all", action="store_true", help="all of the service")
    options = parser.parse_args(arguments)
    return await resync(_SOURCES[options.service], None if options.all else options.ids)
