"""Chooses what the terminal shows of the logs of the stores and the ingress: warnings and errors."""

import json
from collections.abc import Callable

LogFilter = Callable[[str], str | None]
"""Returns the line as the terminal shows it, or None to leave it to the log file."""


def filter_mongod(line: str) -> str | None:
    entry = _parse(line)
    if entry is None:
        return line  # not a log line: a crash, or the dynamic linker
    # Start-up warnings are about the machine (no access control, kernel settings).
    if entry.get("s") not in ("W", "E", "F") or entry.get("tags") == ["startupWarnings"]:
        return None
    return f"{entry.get('msg', '')} {json.dumps(entry['attr']) if 'attr' in entry else ''}".strip()


def filter_nats(line: str) -> str | None:
    return None if "[INF]" in line or "[DBG]" in line else line


def filter_redis(line: str) -> str | None:
    # "#" marks a warning. Two are no problem: "bye bye" at the stop, and advice on the kernel's memory.
    warning = line.partition(" # ")[2]
    return None if not warning or "bye" in warning or "overcommit" in warning else warning


def filter_caddy(line: str) -> str | None:
    entry = _parse(line)
    if entry is None:
        return line
    # Caddy's warnings are about TLS, which the stack does not use, and about clients that disconnected.
    if entry.get("level") not in ("error", "fatal", "panic"):
        return None
    request = entry.get("request")
    where = f"{request.get('method')} {request.get('uri')}: " if isinstance(request, dict) else ""
    return f"{where}{entry.get('msg', '')} {entry.get('error', '')}".strip()


def _parse(line: str) -> dict[str, object] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
