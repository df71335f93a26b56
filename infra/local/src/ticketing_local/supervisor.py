"""Keeps the parts running: starts them, restarts what dies, gives up on what keeps dying, stops them."""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ticketing_local.console import Console
from ticketing_local.disk import describe_full_disk
from ticketing_local.errors import StackError
from ticketing_local.process import Part, Process, how_it_ended, spawn

RESTART_DELAY = 0.5
TOO_MANY_DEATHS = 5
TOO_SHORT_A_TIME = 30.0
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0


class Watched:
    """A part under supervision, running or not."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.wanted = False
        self.ready = asyncio.Event()
        self.process: Process | None = None
        self.life: asyncio.Task[None] | None = None


class Supervisor:
    """Runs parts. With `restarts` off (tests), a part that dies stays dead until it is started again."""

    def __init__(self, parts: Iterable[Part], logs: Path, console: Console, *, restarts: bool = True) -> None:
        self._watched = {part.name: Watched(part) for part in parts}
        self._logs = logs
        self._console = console
        self._restarts = restarts
        logs.mkdir(parents=True, exist_ok=True)
        for name in self._watched:
            self.log_of(name).unlink(missing_ok=True)

    @property
    def names(self) -> list[str]:
        return list(self._watched)

    def log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    async def start(self, *names: str, environment: Mapping[str, str] | None = None) -> None:
        """Start these parts, all at once, and wait until each is ready. `environment` is added to theirs."""
        watched = [self._watched[name] for name in names]
        for w in watched:
            if w.life and not w.life.done():
                raise StackError(f"{w.part.name} is running already.")
            colour = {"FORCE_COLOR": "1"} if self._console.colour else {}
            part = replace(w.part, environment={**w.part.environment, **colour, **(environment or {})})
            w.wanted = True
            w.life = asyncio.create_task(self._live(w, part))
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await asyncio.gather(*(_until_ready(w) for w in watched))
        except TimeoutError:
            late = [w.part.name for w in watched if not w.ready.is_set()]
            raise StackError(
                f"{', '.join(late)} not ready after {START_TIMEOUT:g} s.\n"
                + "\n".join(self._last_words(self._watched[name]) for name in late)
            ) from None

    def part(self, name: str) -> Part:
        """The part of this name, as it starts the next time."""
        return self._watched[name].part

    def describe(self, part: Part) -> None:
        """Have the part of this name start as described here from its next start on."""
        self._watched[part.name].part = part

    async def until_one_is_given_up(self) -> None:
        """Return never, but with an error when a part keeps dying."""
        lives = [w.life for w in self._watched.values() if w.life]
        # Not gather: cancelled, it would cancel the lives, which still have to see their parts end.
        ended, _ = await asyncio.wait(lives, return_when=asyncio.FIRST_EXCEPTION)
        for life in ended:
            life.result()

    async def stop(self, *names: str) -> None:
        """End these parts, all at once: politely, then by force."""
        stopping = [w for name in names if (w := self._watched[name]).life and not w.life.done()]
        for w in stopping:
            w.wanted = False
            if w.process:
                w.process.signal(signal.SIGTERM)
                w.process.signal(signal.SIGCONT)  # one that is paused could not hear it
        lives = [w.life for w in stopping if w.life]
        if not lives:
            return
        _, stubborn = await asyncio.wait(lives, timeout=STOP_TIMEOUT)
        for w in stopping:
            if w.life in stubborn:
                self._console.warn(f"{w.part.name} does not stop within {STOP_TIMEOUT:g} s: it is killed.")
        await self.kill(*(w.part.name for w in stopping))

    async def kill(self, *names: str) -> None:
        """kill -9, and wait for the end. They stay dead until they are started again."""
        lives = []
        for w in map(self._watched.__getitem__, names):
            w.wanted = False
            w.ready.clear()
            if w.process and w.life and not w.life.done():
                w.process.signal(signal.SIGKILL)
                lives.append(w.life)
        if lives:
            await asyncio.wait(lives)

    def signal(self, name: str, number: signal.Signals) -> None:
        if process := self._watched[name].process:
            process.signal(number)

    async def _live(self, w: Watched, part: Part) -> None:
        deaths: deque[float] = deque(maxlen=TOO_MANY_DEATHS)
        while w.wanted:
            began = time.monotonic()
            process = w.process = await spawn(part, self.log_of(part.name))
            process.on_line = lambda line: self._console.log(part.name, line)
            if not w.wanted:  # stopped in this very moment
                process.signal(signal.SIGKILL)
            becoming_ready = asyncio.create_task(self._become_ready(w, process, began))
            status = await process.ended()
            becoming_ready.cancel()
            was_ready = w.ready.is_set()
            w.ready.clear()
            if not w.wanted:
                break
            deaths.append(time.monotonic())
            self._mourn(w, status, was_ready, deaths)
            if not self._restarts:
                break
            await asyncio.sleep(RESTART_DELAY)
        w.process = None

    def _mourn(self, w: Watched, status: int, was_ready: bool, deaths: deque[float]) -> None:
        name, how = w.part.name, how_it_ended(status)
        if not self._restarts:
            if not was_ready:
                raise StackError(f"{name} {how} before it was ready.\n{self._last_words(w)}")
            self._console.warn(f"{name} {how}")
        elif len(deaths) == TOO_MANY_DEATHS and deaths[-1] - deaths[0] <= TOO_SHORT_A_TIME:
            raise StackError(
                f"{name} died {TOO_MANY_DEATHS} times within {TOO_SHORT_A_TIME:g} s; the last time it {how}. "
                f"Everything is stopped.\n{self._last_words(w)}"
            )
        else:
            self._console.warn(
                f"{name} {how}: it starts again in {RESTART_DELAY:g} s, nothing to do "
                f"(what it said: {self.log_of(name)})"
            )

    def _last_words(self, w: Watched) -> str:
        said = list(w.process.said) if w.process else []
        words = "".join(f"    {line}\n" for line in said[-12:]) or "    (nothing)\n"
        last = f"{w.part.name} said last:\n{words}Look at {self.log_of(w.part.name)} for the rest."
        full = describe_full_disk(self._logs)
        return f"{last}\n{full}" if full else last

    async def _become_ready(self, w: Watched, process: Process, began: float) -> None:
        is_ready = w.part.is_ready
        while not (await is_ready() if is_ready else process.said or time.monotonic() - began > 5):  # noqa: ASYNC110 - another process has no Event for us
            await asyncio.sleep(0.1)
        w.ready.set()
        self._console.part(w.part.name, "ready", f"{time.monotonic() - began:4.1f} s")


async def _until_ready(w: Watched) -> None:
    """Return when the part is ready; raise what its life ends with when that comes first."""
    assert w.life
    ready = asyncio.create_task(w.ready.wait())
    try:
        await asyncio.wait([ready, w.life], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
    if w.life.done():
        w.life.result()
