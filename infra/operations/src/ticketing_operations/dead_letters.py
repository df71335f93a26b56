"""Lists the dead letters of a service, or publishes them again.

    MONGO_URI=... python -m ticketing_operations dead-letters list
    MONGO_URI=... NATS_URL=... python -m ticketing_operations dead-letters replay [ID ...]

A replay publishes an event unchanged to all consumers. That is harmless for those that have handled it,
because they drop duplicates by version.
"""

import argparse
from collections.abc import Sequence

from ticketing_common.config import MongoSettings, load_settings
from ticketing_common.messaging.bus import open_bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.storage.mongo import connect
from ticketing_operations.settings import StoreSettings


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m ticketing_operations dead-letters", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print all, oldest first")
    replay = commands.add_parser("replay", help="publish again, then remove")
    replay.add_argument("ids", nargs="*", metavar="ID", help="which ones; default: all")
    options = parser.parse_args(arguments)
    if options.command == "list":
        mongo_settings = load_settings(MongoSettings, "dead-letters")
        await list_dead_letters(DeadLetters(connect(mongo_settings.mongo_uri)))
        return 0
    settings = load_settings(StoreSettings, "dead-letters")
    replayed = await replay_dead_letters(
        DeadLetters(connect(settings.mongo_uri)),
        settings.nats_url,
        options.ids,
        settings.nats_replicas,
        settings.nats_max_bytes,
    )
    return 0 if replayed or not options.ids else 1


async def list_dead_letters(letters: DeadLetters) -> int:
    """Prints all. Returns their number."""
    count = 0
    async for letter in letters.read(await letters.ids()):
        count += 1
        print(
            f"{letter.id}  {letter.at:%Y-%m-%d %H:%M:%S}  {letter.subject}  {letter.reason}: {letter.detail}"
        )
        print(f"    {letter.data[:500].decode(errors='replace')}")
    print(f"{count} dead letters")
    return count


async def replay_dead_letters(
    letters: DeadLetters, nats_url: str, ids: list[str], replicas: int = 1, max_bytes: int = -1
) -> int:
    """Publishes these or all, and removes each one once the stream has stored it. Returns their number."""
    replayed = 0
    async with open_bus(nats_url, "dead-letters", replicas, max_bytes) as bus:
        async for letter in letters.read(ids or await letters.ids()):
            await bus.publish_raw(letter.subject, letter.data, trace=letter.trace)
            await letters.remove(letter.id)
            print(f"replayed {letter.id} {letter.subject}")
            replayed += 1
    return replayed
