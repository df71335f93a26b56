"""Removes subjects from the filter of a service's consumer, once no version of the service consumes them.

    NATS_URL=... python -m ticketing_operations unsubscribe SERVICE SUBJECT [SUBJECT ...]

Replicas never remove subjects, because a newer version may consume them: docs/operations.md, "Upgrading".
"""

import sys
from collections.abc import Sequence

from ticketing_common.config import NatsSettings, load_settings
from ticketing_common.messaging.consumer import Consumer
from ticketing_operations.arguments import command_parser
from ticketing_operations.settings import open_command_bus


async def main(arguments: Sequence[str]) -> int:
    parser = command_parser("unsubscribe", __doc__)
    parser.add_argument("service", metavar="SERVICE", help="such as orders")
    parser.add_argument("subjects", metavar="SUBJECT", nargs="+", help="such as payment.refunded")
    options = parser.parse_args(arguments)
    settings = load_settings(NatsSettings, "unsubscribe")
    async with open_command_bus(settings, "unsubscribe") as bus:
        try:
            remaining = await Consumer(bus, options.service, ()).remove(options.subjects)
        except ValueError as error:
            print(f"nothing changed: {error}", file=sys.stderr)
            return 1
    print(f"{options.service} consumes {', '.join(sorted(remaining))}")
    return 0
