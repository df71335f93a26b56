"""Removes subjects from the filter of a service's consumer, once no version of the service follows them.

    NATS_URL=... python -m ticketing_common.unfollow SERVICE SUBJECT [SUBJECT ...]

No replica does that by itself, because a newer version may follow them: docs/operations.md, "Upgrading".
"""

import argparse
import asyncio
import sys

from ticketing_common.config import NatsSettings, load
from ticketing_common.consumer import Consumer
from ticketing_common.jetstream import connected


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ticketing_common.unfollow", description=__doc__)
    parser.add_argument("service", metavar="SERVICE", help="such as orders")
    parser.add_argument("subjects", metavar="SUBJECT", nargs="+", help="such as payment.refunded")
    arguments = parser.parse_args()
    settings = load(NatsSettings, "ticketing_common.unfollow")
    async with connected(
        settings.nats_url, "unfollow", settings.nats_replicas, settings.nats_max_bytes
    ) as bus:
        try:
            left = await Consumer(bus, arguments.service, ()).remove(arguments.subjects)
        except ValueError as error:
            print(f"nothing is changed: {error}", file=sys.stderr)
            return 1
    print(f"{arguments.service} follows {', '.join(sorted(left))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
