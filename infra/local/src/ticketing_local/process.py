"""One process of the stack: started in a group of its own, heard, and ended with all that it forked."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ticketing_common.testing.servers import die_with_parent
from ticketing_local import quiet
from ticketing_local.console import without_escapes
from ticketing_local.errors import StackError


@dataclass(frozen=True)
class Part:
    """What runs, what it is told, how to know that it is ready, and what the terminal shows of its log."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(repr=False)
    is_ready: Callable[[], Awaitable[bool]] | None = None
    """None: it has no port to ask, so it counts as ready once it has said something or lived for 5 s."""
    shown: quiet.Filter = quiet.everything


_INHERITED = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH"]
# A real Stripe may be behind a proxy. HTTP_PROXY is left out: our own parts talk plain http to each other.
_INHERITED += ["HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"]


def inherited() -> dict[str, str]:
    """The little of our own environment that any program may need."""
    return {key: os.environ[key] for key in _INHERITED if key in os.environ}


class Process:
    """A running part. `said` is the end of what it said."""

    def __init__(self, part: Part, child: asyncio.subprocess.Process, output: int, log: BinaryIO) -> None:
        self.part = part
        self.said: deque[str] = deque(maxlen=20)
        self._child = child
        self._hearing = asyncio.create_task(self._hear(output, log))
        self.on_line: Callable[[str], None] = lambda line: None

    def signal(self, number: signal.Signals) -> None:
        """Tell the whole group: what a part has forked must not outlive it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    async def ended(self) -> int:
        """Wait for its end, and end what it left behind. The exit status, or minus the signal."""
        status = await self._child.wait()
        self.signal(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hearing, 1)
        return status

    async def _hear(self, output: int, log: BinaryIO) -> None:
        with log, os.fdopen(output, "rb", 0) as pipe:
            async for raw in _lines(pipe):
                line = raw.decode(errors="replace").rstrip("\r\n")
                plain = without_escapes(line)
                with contextlib.suppress(OSError):  # a full disk must not stop the part
                    log.write(f"{plain}\n".encode(errors="replace"))
                self.said.append(plain)
                if shown := self.part.shown(line):
                    self.on_line(shown)


async def spawn(part: Part, log: Path) -> Process:
    try:
        log_file = log.open("ab", buffering=0)
    except OSError as error:
        raise StackError(f"{log} cannot be written ({error.strerror}).") from None
    # A pipe of our own: asyncio's would keep wait() from returning while a forked child still holds it.
    output, theirs = os.pipe()
    try:
        child = await asyncio.create_subprocess_exec(
            *part.command,
            env=part.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,  # a group of its own; and Ctrl-C in the terminal reaches only us
            preexec_fn=die_with_parent,
        )
    except OSError as error:
        os.close(output)
        log_file.close()
        raise StackError(f"{part.name} cannot be run: {error}.") from error
    finally:
        os.close(theirs)
    return Process(part, child, output, log_file)


async def _lines(output: BinaryIO) -> AsyncGenerator[bytes, None]:
    reader = asyncio.StreamReader(limit=2**20)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), output)
    try:
        while True:
            try:
                yield await reader.readuntil()
            except asyncio.LimitOverrunError as overrun:  # a line without an end is heard in pieces
                yield await reader.read(overrun.consumed)
            except asyncio.IncompleteReadError as end:
                if end.partial:
                    yield end.partial
                return
    finally:
        transport.close()


def how_it_ended(status: int) -> str:
    """The exit status in words."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"
