"""How the demo is told: one line for each thing that somebody does, with the time, and what came of it."""

import shutil
import time

from ticketing_local.console import Console

_COLOURS = {"Sam": 35, "Alice": 36, "Bob": 33, "market": 90}


class Timeline:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._width = min(shutil.get_terminal_size().columns, 110)

    def title(self, text: str) -> None:
        self._console.say(f"\n{self._paint(text, 1)}")

    def chapter(self, text: str) -> None:
        self._clear_countdown()
        self._console.say(f"\n{self._paint(text, 1)}")

    def step(self, who: str, does: str, outcome: str, good: bool = True) -> None:
        """Who does what, and what the market makes of it."""
        self._clear_countdown()
        mark = self._paint("✓", 32) if good else self._paint("✗", 31)
        elapsed = self._paint(f"{time.monotonic() - self._began:6.2f} s", 2)
        result = f"  {mark} {outcome}" if outcome else ""
        self._console.say(f"{elapsed}  {self._paint(f'{who:<7}', _COLOURS[who])} {does:<52}{result}".rstrip())

    def countdown(self, text: str, seconds: float) -> None:
        """One line that changes in place; nothing where nobody looks."""
        if self._console.colour:
            bar = "▪" * min(round(seconds), 60)
            line = f"          {text} {seconds:4.1f} s {bar}"[: self._width]
            self._console.stream.write(f"\r\x1b[K{self._paint(line, 2)}")
            self._console.stream.flush()

    def note(self, text: str) -> None:
        self._console.say(f"          {self._paint(text, 2)}")

    def end(self, text: str) -> None:
        self._console.say(f"\n{text}\n")

    def fail(self, text: str) -> None:
        self._clear_countdown()
        self._console.fail(text)

    def _clear_countdown(self) -> None:
        if self._console.colour:
            self._console.stream.write("\r\x1b[K")

    def _paint(self, text: str, code: int) -> str:
        return self._console.paint(text, code)
