"""Starts processes, restarts those that exit, gives up on one that keeps exiting, and stops them."""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from ticketing_local.console import Console
from ticketing_local.data_dir import describe_full_disk
from ticketing_local.errors import StackError
from ticketing_local.process import Process, ProcessSpec, describe_exit

RESTART_DELAY = 0.5
MAX_EXITS = 5
MAX_EXITS_WITHIN = 30.0
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0


class _Supervised(Process):
    should_run = False
    task: asyncio.Task[None] | None = None

    def __init__(self, spec: ProcessSpec, log: Path, console: Console) -> None:
        super().__init__(spec, log, partial(console.show_output, spec.name))
        self.ready = asyncio.Event()

    @property
    def is_running(self) -> bool:
        return self.task is not None and not self.task.done()

    def start(self, run: Coroutine[None, None, None]) -> None:
        self.should_run = True
        self.ready.clear()
        self.task = asyncio.create_task(run)
        self.task.add_done_callback(lambda _: self.ready.set())  # so that wait_until_ready() returns

    async def wait_until_ready(self) -> None:
        """Raises the error that ends the task, if that comes first."""
        await self.ready.wait()
        if self.task and self.task.done():
            self.task.result()


class Supervisor:
    """Runs processes. Without `restarts` (in tests), a process that exits stays down until `start`."""

    def __init__(
        self, specs: Iterable[ProcessSpec], logs: Path, console: Console, *, restarts: bool = True
    ) -> None:
        self._processes = {p.name: _Supervised(p, logs / f"{p.name}.log", console) for p in specs}
        self._logs = logs
        self._console = console
        self._restarts = restarts
        logs.mkdir(parents=True, exist_ok=True)
        for each in self._processes.values():
            each.log.unlink(missing_ok=True)

    @property
    def names(self) -> list[str]:
        return list(self._processes)

    def log_of(self, name: str) -> Path:
        return self._processes[name].log

    def update(self, spec: ProcessSpec) -> None:
        """Change what the process of this name runs, from its next start on."""
        self._processes[spec.name].spec = spec

    async def start(self, *names: str, environment: Mapping[str, str] | None = None) -> None:
        """Start these processes at once and wait until all are ready; `environment` is added to theirs.

        Raises StackError if one is running already, is not ready in time, or exits and is given up.
        """
        starting = [self._processes[name] for name in names]
        for each in starting:
            if each.is_running:
                raise StackError(f"{each.spec.name} is running already: stop it first.")
            colour = {"FORCE_COLOR": "1"} if self._console.has_colour else {}
            spec = replace(each.spec, environment={**each.spec.environment, **colour, **(environment or {})})
            each.start(self._run(each, spec))
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await asyncio.gather(*(each.wait_until_ready() for each in starting))
        except TimeoutError:
            late = [each for each in starting if not each.ready.is_set()]
            raise StackError(
                f"{', '.join(each.spec.name for each in late)} not ready after {START_TIMEOUT:g} s.\n"
                + "\n".join(map(self._last_output, late))
            ) from None

    async def wait_for_failure(self) -> None:
        """Wait until a process is given up, and raise its StackError."""
        tasks = [each.task for each in self._processes.values() if each.task]
        # Not gather: when cancelled it cancels the tasks, which must still wait for their processes.
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def stop(self, *names: str) -> None:
        """Send SIGTERM to these processes at once; after STOP_TIMEOUT, SIGKILL."""
        stopping = [each for each in map(self._processes.__getitem__, names) if each.is_running]
        for each in stopping:
            each.should_run = False
            each.signal(signal.SIGTERM)
            each.signal(signal.SIGCONT)  # a paused process handles SIGTERM only after this
        await _wait_until_ended(stopping, STOP_TIMEOUT)
        for each in stopping:
            if each.is_running:
                self._console.warn(f"{each.spec.name} does not stop within {STOP_TIMEOUT:g} s: it is killed.")
        await self.kill(*(each.spec.name for each in stopping))

    async def kill(self, *names: str) -> None:
        """Send SIGKILL to these processes and wait for their end."""
        killed = [self._processes[name] for name in names]
        for each in killed:
            each.should_run = False
            each.signal(signal.SIGKILL)
        await _wait_until_ended(killed)

    def signal(self, name: str, number: signal.Signals) -> None:
        self._processes[name].signal(number)

    async def _run(self, each: _Supervised, spec: ProcessSpec) -> None:
        """Run the process, and restart it when it exits, until it should stop or is given up."""
        exits: deque[float] = deque(maxlen=MAX_EXITS)
        while each.should_run:
            started_at = time.monotonic()
            await each.spawn(spec)
            if not each.should_run:  # it was stopped during spawn()
                each.signal(signal.SIGKILL)
            waiting = asyncio.create_task(self._mark_ready(each, started_at))
            status = await each.wait()
            waiting.cancel()
            was_ready = each.ready.is_set()
            each.ready.clear()
            if not each.should_run:
                break
            exits.append(time.monotonic())
            self._report_exit(each, status, was_ready, exits)
            if not self._restarts:
                break
            await asyncio.sleep(RESTART_DELAY)

    async def _mark_ready(self, each: _Supervised, started_at: float) -> None:
        while not await each.spec.is_ready():  # noqa: ASYNC110 - another process sets no Event
            await asyncio.sleep(0.1)
        each.ready.set()
        self._console.show_state(each.spec.name, "ready", f"{time.monotonic() - started_at:4.1f} s")

    def _report_exit(self, each: _Supervised, status: int, was_ready: bool, exits: deque[float]) -> None:
        """Raises StackError to give the process up."""
        name, how = each.spec.name, describe_exit(status)
        if not self._restarts:
            if not was_ready:
                raise StackError(f"{name} {how} before it was ready.\n{self._last_output(each)}")
            self._console.warn(f"{name} {how}")
        elif len(exits) == MAX_EXITS and exits[-1] - exits[0] <= MAX_EXITS_WITHIN:
            raise StackError(
                f"{name} died {MAX_EXITS} times within {MAX_EXITS_WITHIN:g} s; the last time it {how}. "
                f"Everything is stopped.\n{self._last_output(each)}"
            )
        else:
            self._console.warn(
                f"{name} {how}: it starts again in {RESTART_DELAY:g} s, nothing to do "
                f"(its output: {self.log_of(name)})"
            )

    def _last_output(self, each: _Supervised) -> str:
        rest = f"Look at {self.log_of(each.spec.name)} for the rest."
        if full := describe_full_disk(self._logs):  # then the output only shows a crash
            return f"{full}\n{rest}"
        output = "".join(f"    {line}\n" for line in each.last_lines) or "    (nothing)\n"
        return f"The last output of {each.spec.name}:\n{output}{rest}"


async def _wait_until_ended(processes: Iterable[_Supervised], timeout: float | None = None) -> None:
    if tasks := [each.task for each in processes if each.task]:
        await asyncio.wait(tasks, timeout=timeout)
