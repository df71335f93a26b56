"""Removes subjects from the filter of a service's consumer, once no version of the service consumes them.

    NATS_URL=... python -m ticketing_operations unsubscribe SERVICE SUBJECT [SUBJECT ...]

No replica does that itself, because a newer version may consume them: docs/operations.md, "Upgrading".
"""

import argparse
import sys
from collections.abc import Sequence

from ticketing_common.config import NatsSettings, load_settings
from ticketing_common.messaging.bus import open_bus
from ticketing_common.messaging.consumer import Consumer


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m ticketing_operations unsubscribe", description=__doc__)
    parser.add_argument("service", metavar="SERVICE", help="such as orders")
    parser.add_argument("subjects", metavar="SUBJECT", nargs="+", help="such as payment.refunded")
    options = parser.parse_args(arguments)
    settings = load_settings(NatsSettings, "unsubscribe")
    async with open_bus(
        settings.nats_url, "unsubscribe", settings.nats_replicas, settings.nats_max_bytes
    ) as bus:
        try:
            left = await Consumer(bus, options.service, ()).remove(options.subjects)
        except ValueError as error:
            print(f"nothing changed: {error}", file=sys.stderr)
            return 1
    print(f"{options.service} consumes {', '.join(sorted(left))}")
    return 0
