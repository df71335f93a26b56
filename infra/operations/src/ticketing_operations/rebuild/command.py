"""Applies the events in the stream to a restored database, while the service is stopped: docs/backups.md.

MONGO_URI=... NATS_URL=... python -m ticketing_operations rebuild SERVICE
"""

import argparse
from collections.abc import Sequence

from ticketing_operations.rebuild import expiration, orders, payments, tickets
from ticketing_operations.rebuild.replay import rebuild

_SERVICES = {"expiration": expiration, "orders": orders, "payments": payments, "tickets": tickets}


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m ticketing_operations rebuild", description=__doc__)
    parser.add_argument("service", choices=sorted(_SERVICES))
    service = parser.parse_args(arguments).service
    module = _SERVICES[service]
    return await rebuild(service, module.HANDLERS, module.open_repository)
