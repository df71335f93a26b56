"""What the terminal shows of the chatty parts' logs: warnings and errors, in a few words."""

import json
from collections.abc import Callable

Filter = Callable[[str], str | None]
"""A line as the terminal shows it, or None to leave it to the log file."""


def everything(line: str) -> str | None:
    return line


def of_mongod(line: str) -> str | None:
    entry = _entry(line)
    if entry is None:
        return line  # not its log: a crash, or the system's loader
    # At its start it warns about the machine (no access control, kernel settings): no concern of ours.
    if entry.get("s") not in ("W", "E", "F") or entry.get("tags") == ["startupWarnings"]:
        return None
    return f"{entry.get('msg', '')} {json.dumps(entry['attr']) if 'attr' in entry else ''}".strip()


def of_nats(line: str) -> str | None:
    return None if "[INF]" in line or "[DBG]" in line else line


def of_redis(line: str) -> str | None:
    # "#" marks a warning; it also takes leave with one, and advises on the kernel's memory.
    said = line.partition(" # ")[2]
    return None if not said or "bye" in said or "overcommit" in said else said


def of_caddy(line: str) -> str | None:
    entry = _entry(line)
    if entry is None:
        return line
    # Its warnings are of TLS, which nobody wants here, and of clients that went away.
    if entry.get("level") not in ("error", "fatal", "panic"):
        return None
    request = entry.get("request")
    where = f"{request.get('method')} {request.get('uri')}: " if isinstance(request, dict) else ""
    return f"{where}{entry.get('msg', '')} {entry.get('error', '')}".strip()


def _entry(line: str) -> dict[str, object] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
