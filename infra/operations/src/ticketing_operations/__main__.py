"""python -m ticketing_operations COMMAND: `COMMAND --help` prints its arguments."""

import asyncio
import importlib
import sys

_MODULES = {
    "backup": "ticketing_operations.backup",
    "dead-letters": "ticketing_operations.dead_letters",
    "rebuild": "ticketing_operations.rebuild.command",
    "resync": "ticketing_operations.resync.command",
    "unsubscribe": "ticketing_operations.unsubscribe",
}


def main() -> int:
    command, *arguments = sys.argv[1:] or [""]
    if command not in _MODULES:
        print(f"usage: python -m ticketing_operations {{{','.join(_MODULES)}}} ...", file=sys.stderr)
        return 2
    # Imports only the modules of this command: a backup runs without the services' code.
    module = importlib.import_module(_MODULES[command])
    status: int = asyncio.run(module.main(arguments))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
