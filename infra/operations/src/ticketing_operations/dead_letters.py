"""Lists the dead letters of a service, or publishes them again.

    MONGO_URI=... python -m ticketing_operations dead-letters list
    MONGO_URI=... NATS_URL=... python -m ticketing_operations dead-letters replay [ID ...]

A replay publishes an event unchanged to all consumers. Consumers that have already handled it drop it by its
version.
"""

from collections.abc import Sequence

from ticketing_common.config import MongoSettings, load_settings
from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.storage.mongo import connect
from ticketing_operations.arguments import command_parser
from ticketing_operations.settings import StoreSettings, open_command_bus


async def main(arguments: Sequence[str]) -> int:
    parser = command_parser("dead-letters", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print all, oldest first")
    replay = commands.add_parser("replay", help="publish again, then remove")
    replay.add_argument("ids", nargs="*", metavar="ID", help="which ones; default: all")
    options = parser.parse_args(arguments)
    if options.command == "list":
        uri = load_settings(MongoSettings, "dead-letters").mongo_uri
        await list_dead_letters(DeadLetters(connect(uri)))
        return 0
    settings = load_settings(StoreSettings, "dead-letters")
    async with open_command_bus(settings, "dead-letters") as bus:
        replayed = await replay_dead_letters(DeadLetters(connect(settings.mongo_uri)), bus, options.ids)
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


async def replay_dead_letters(letters: DeadLetters, bus: Bus, ids: Sequence[str]) -> int:
    """Publishes these, or all, and removes each one once the stream has stored it. Returns their number."""
    replayed = 0
    async for letter in letters.read(ids or await letters.ids()):
        await bus.publish_raw(letter.subject, letter.data, trace=letter.trace)
        await letters.remove(letter.id)
        print(f"replayed {letter.id} {letter.subject}")
        replayed += 1
    return replayed
