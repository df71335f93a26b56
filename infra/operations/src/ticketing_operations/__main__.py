"""python -m ticketing_operations COMMAND: see the commands' modules for their arguments."""

import asyncio
import importlib
import sys

_COMMANDS = {
    "backup": "ticketing_operations.backup",
    "dead-letters": "ticketing_operations.dead_letters",
    "rebuild": "ticketing_operations.rebuild.command",
    "resync": "ticketing_operations.resync.command",
    "unsubscribe": "ticketing_operations.unsubscribe",
}


def main() -> int:
    command, *arguments = sys.argv[1:] or [""]
    if command not in _COMMANDS:
        print(f"usage: python -m ticketing_operations {{{','.join(_COMMANDS)}}} ...", file=sys.stderr)
        return 2
    # Imports only what the command needs: a backup needs no service.
    module = importlib.import_module(_COMMANDS[command])
    status: int = asyncio.run(module.main(arguments))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
