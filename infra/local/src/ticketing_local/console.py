"""Writes progress and log lines to the terminal, in colour unless NO_COLOR is set."""

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
    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.has_colour = stream.isatty() and not os.environ.get("NO_COLOR")
        self.shows_logs = False
        """False while the stack starts and stops: then only progress is shown."""

    def show_state(self, name: str, state: str, detail: str = "") -> None:
        self.say(f"  {self._name(name)}  {self.paint(f'{state:<9}', 2)} {detail}".rstrip())

    def show_output(self, name: str, line: str) -> None:
        if self.shows_logs:
            self.say(f"{self._name(name)} | {line if self.has_colour else without_escapes(line)}")

    def warn(self, text: str) -> None:
        self.say(self.paint(text, 33))

    def fail(self, text: str) -> None:
        self.say(self.paint(text, 31))

    def say(self, text: str = "") -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed terminal must not stop the stack
            print(text, file=self.stream, flush=True)

    def overwrite_line(self, text: str) -> None:
        """Show text in place of the current line; nothing without a terminal."""
        if self.has_colour:
            self.stream.write(f"\r\x1b[K{self.paint(text, 2)}")
            self.stream.flush()

    def paint(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.has_colour else text

    def _name(self, name: str) -> str:
        return self.paint(f"{name:<10}", _COLOURS.get(name, 90))


def terminal() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for terminals that cannot show every character
    return Console(sys.stdout)


def without_escapes(text: str) -> str:
    return _ESCAPES.sub("", text)
