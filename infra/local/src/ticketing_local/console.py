"""What a person sees: progress while the stack starts, then one stream of log lines."""

import contextlib
import io
import os
import re
import sys
from typing import TextIO

_COLOURS = {
    "auth": 36,
    "tickets": 32,
    "orders": 33,
    "payments": 35,
    "expiration": 34,
    "worker": 94,
    "stripe": 95,
    "ingress": 96,
}
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Console:
    """Aligned, coloured when someone looks (a terminal, and NO_COLOR unset)."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.colour = stream.isatty() and not os.environ.get("NO_COLOR")
        self.streaming = False
        """Whether the parts' log lines are shown; while starting, progress is."""

    def part(self, name: str, state: str, detail: str = "") -> None:
        """A step in the life of a part."""
        self.say(f"  {self._name(name)}  {self.paint(f'{state:<9}', 2)} {detail}".rstrip())

    def log(self, name: str, line: str) -> None:
        """A line that a part has said."""
        if self.streaming:
            self.say(f"{self._name(name)} | {line if self.colour else without_escapes(line)}")

    def warn(self, text: str) -> None:
        self.say(self.paint(text, 33))

    def fail(self, text: str) -> None:
        self.say(self.paint(text, 31))

    def say(self, text: str = "") -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal may be gone, which stops no market
            print(text, file=self.stream, flush=True)

    def paint(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def _name(self, name: str) -> str:
        return self.paint(f"{name:<10}", _COLOURS.get(name, 90))


def terminal() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # no sign that a terminal cannot show is worth a crash
    return Console(sys.stdout)


def without_escapes(text: str) -> str:
    return _ESCAPES.sub("", text)
