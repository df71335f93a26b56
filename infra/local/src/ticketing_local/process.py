"""Runs one process of the stack in a process group of its own, and collects its output."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ticketing_common.testing.servers import die_with_parent
from ticketing_local.console import without_escapes
from ticketing_local.errors import StackError
from ticketing_local.log_filters import LogFilter
from ticketing_local.readiness import ReadinessCheck


@dataclass(frozen=True)
class ProcessSpec:
    """What a process runs, when it is ready, and what the terminal shows of its output."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(repr=False)
    is_ready: ReadinessCheck
    log_filter: LogFilter = str  # shows every line


_INHERITED = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH"]
# Stripe may be behind a proxy. HTTP_PROXY is left out: the services call each other over plain HTTP.
_INHERITED += ["HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"]
_INHERITED += ["COVERAGE_PROCESS_CONFIG"]  # `make coverage` measures the services of a stack, too


def inherited() -> dict[str, str]:
    """The variables of this process that every process of the stack gets."""
    return {key: os.environ[key] for key in _INHERITED if key in os.environ}


class Process:
    """A process, running or not. Its output is appended to `log`; `show` gets what the filter keeps."""

    def __init__(self, spec: ProcessSpec, log: Path, show: Callable[[str], None]) -> None:
        self.spec = spec
        self.log = log
        self.last_lines: deque[str] = deque(maxlen=12)
        """The end of the output of the last run."""
        self._show = show
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def spawn(self, spec: ProcessSpec) -> None:
        """Start it. Raises StackError if the command cannot be run or the log cannot be written."""
        try:
            log = self.log.open("ab", buffering=0)
        except OSError as error:
            raise StackError(
                f"{self.log} cannot be written ({error.strerror}): free some space or correct its mode."
            ) from None
        # Not asyncio's own pipe: with that, wait() does not return while a forked child holds the pipe open.
        output, child_output = os.pipe()
        try:
            self._child = await asyncio.create_subprocess_exec(
                *spec.command,
                env=spec.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=child_output,
                stderr=child_output,
                start_new_session=True,  # so that Ctrl-C in the terminal does not reach it
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            os.close(output)
            log.close()
            raise StackError(
                f"{spec.name} cannot be run: {error}. Install it again: make clean, then make up."
            ) from error
        finally:
            os.close(child_output)
        self.last_lines.clear()
        self._reading = asyncio.create_task(self._read_output(output, log, spec.log_filter))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group, so that no forked child outlives its parent."""
        if self._child:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, number)

    async def wait(self) -> int:
        """Wait for its end, kill its children, and return the exit status, or minus the signal."""
        assert self._child
        assert self._reading
        status = await self._child.wait()
        self.signal(signal.SIGKILL)
        self._child = None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._reading, 1)
        return status

    async def _read_output(self, output: int, log: BinaryIO, log_filter: LogFilter) -> None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        with log, os.fdopen(output, "rb", 0) as pipe:
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
            with contextlib.closing(transport):
                rest = b""
                while chunk := await reader.read(2**16):
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > 2**20:  # a longer line is handled in pieces
                        lines, rest = [*lines, rest], b""
                    for line in lines:
                        self._handle_line(line, log, log_filter)
                if rest:
                    self._handle_line(rest, log, log_filter)

    def _handle_line(self, raw: bytes, log: BinaryIO, log_filter: LogFilter) -> None:
        line = raw.decode(errors="replace").rstrip("\r")
        plain = without_escapes(line)
        self.last_lines.append(plain)
        with contextlib.suppress(OSError):  # a full disk must not stop the process
            log.write(f"{plain}\n".encode(errors="replace"))
        if shown := log_filter(line):
            self._show(shown)


def describe_exit(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"
