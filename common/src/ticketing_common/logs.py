"""Logs: one line an event, as JSON for machines or coloured for a terminal, with the request's ids.

All that the process writes to stdout and stderr is redacted here, and only here: our lines, those of the
libraries, what a command prints, and the traceback of a crash.
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

from ticketing_common.redaction import redact

LogFormat = Literal["json", "console"]


def configure_logs(level: str, log_format: LogFormat, service: str) -> None:
    """Send everything, the libraries' logging included, through the same processors to stdout.

    Ours goes there straight: by way of `logging` a line costs three times as much, and every request has one.
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
        # Without the variables of the frames: they hold what a request has brought, passwords too.
        tracebacks = ExceptionDictTransformer(show_locals=False)
        last = [structlog.processors.ExceptionRenderer(tracebacks), _as_json]
        shared.append(lambda _logger, _method, event: {"service": service, **event})
    else:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty() or "FORCE_COLOR" in os.environ,
                pad_event_to=0,
                # The default draws every frame's variables.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=_Line,
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
    for chatty in ("pymongo", "httpx", "httpcore", "stripe", "nats", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "rq.worker"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def redact_output() -> None:
    """From now on, hide secrets in whatever is written to stdout and stderr."""
    sys.stdout, sys.stderr = _redacted(sys.stdout), _redacted(sys.stderr)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def _as_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return to_json(event, fallback=repr).decode()


class _Redacted:
    """A text stream that hides secrets; otherwise the stream that it wraps.

    A secret that is written in two pieces is not found.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

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
    """Write a line to stdout; as with `logging`, a line that nobody takes stops nothing."""
    stream = _redacted(sys.stdout)  # again, because stdout may have been replaced since
    with contextlib.suppress(OSError, ValueError):
        stream.write(line + "\n")
        stream.flush()


class _Line:
    """The logger behind structlog's."""

    def __init__(self, name: str = "") -> None:
        self.name = name  # for add_logger_name

    def write(self, line: str) -> None:
        _write(line)

    debug = info = warning = error = critical = write


class _Handler(logging.Handler):
    """Takes the lines of the libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
        else:
            _write(line)
