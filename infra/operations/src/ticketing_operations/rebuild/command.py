"""Applies the events in the stream to a restored database, while its service is stopped: docs/backups.md.

MONGO_URI=... NATS_URL=... python -m ticketing_operations rebuild SERVICE
"""

from collections.abc import Sequence

from ticketing_operations.arguments import command_parser
from ticketing_operations.rebuild import expiration, orders, payments, tickets
from ticketing_operations.rebuild.replay import rebuild

_SERVICES = {"expiration": expiration, "orders": orders, "payments": payments, "tickets": tickets}


async def main(arguments: Sequence[str]) -> int:
    parser = command_parser("rebuild", __doc__)
    parser.add_argument("service", choices=sorted(_SERVICES))
    service = parser.parse_args(arguments).service
    module = _SERVICES[service]
    return await rebuild(service, module.HANDLERS, module.open_repository)
