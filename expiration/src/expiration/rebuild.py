"""Has the service hear the whole stream again once it starts: the ledger is all made of it. docs/backups.md

MONGO_URI=... NATS_URL=... python -m expiration.rebuild
"""

import asyncio

from ticketing_common.rebuild import rebuild


async def main() -> int:
    return await rebuild("expiration", {}, lambda database, _: database)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
