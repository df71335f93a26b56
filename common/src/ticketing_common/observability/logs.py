"""Logs: one line per event, as JSON for machines or coloured for a terminal, with the ids of the request.

Everything that the process writes to stdout and stderr is redacted here, and only here: log lines of ours and
of libraries, output of commands, and the traceback of a crash.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterable
from typing import Any, Literal, TextIO, cast

import structlog
from pydantic_core import to_json
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from ticketing_common.observability.redaction import redact

LogFormat = Literal["json", "console"]


def configure_logs(level: str, log_format: LogFormat, service: str) -> None:
    """Sends our log lines and those of libraries through the same processors to stdout.

    Our lines bypass `logging`, which costs three times as much per line, and every request writes one.
    """
    redact_output()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if log_format == "json" else "%H:%M:%S.%f", utc=True),
    ]
    last: list[Processor]
    if log_format == "json":
        # Without local variables: they hold what a request contained, passwords included.
        tracebacks = ExceptionDictTransformer(show_locals=False)
        last = [structlog.processors.ExceptionRenderer(tracebacks), _render_json]
        shared.append(lambda _logger, _method, event: {"service": service, **event})
    else:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty() or "FORCE_COLOR" in os.environ,
                pad_event_to=0,
                # The default prints the local variables of every frame.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=_StdoutLogger,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    for verbose in ("pymongo", "httpx", "httpcore", "stripe", "nats", "asyncio"):
        logging.getLogger(verbose).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "rq.worker"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def redact_output() -> None:
    """Hides secrets in everything written to stdout and stderr from now on."""
    sys.stdout, sys.stderr = _redacted(sys.stdout), _redacted(sys.stderr)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def _render_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return to_json(event, fallback=repr).decode()


class _Redacted:
    """Wraps a text stream and hides secrets in what is written to it.

    A secret that is written in two pieces is not recognised.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.flush = stream.flush  # called for each line, and faster than by way of __getattr__

    def write(self, text: str) -> int:
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _redacted(stream: TextIO) -> TextIO:
    return stream if isinstance(stream, _Redacted) else cast(TextIO, _Redacted(stream))


def _write(line: str) -> None:
    """Writes a line to stdout. As with `logging`, a failing write is ignored."""
    stream = _redacted(sys.stdout)  # again, because stdout may have been replaced since
    with contextlib.suppress(OSError, ValueError):
        stream.write(line + "\n")
        stream.flush()


class _StdoutLogger:
    """The logger that structlog writes to."""

    def __init__(self, name: str = "") -> None:
        self.name = name  # for add_logger_name

    def write(self, line: str) -> None:
        _write(line)

    debug = info = warning = error = critical = write


class _Handler(logging.Handler):
    """Writes the log lines of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
        else:
            _write(line)
