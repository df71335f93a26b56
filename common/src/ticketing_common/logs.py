"""Logs: one line an event, as JSON for machines or coloured for a terminal, with the request's ids."""

import contextlib
import logging
import os
import sys
from typing import Literal

import structlog
from pydantic_core import to_json
from structlog.typing import Processor

LogFormat = Literal["json", "console"]


def configure_logs(level: str, log_format: LogFormat, service: str) -> None:
    """Send everything, the libraries' logging included, through the same processors to stdout.

    Ours goes there straight: by way of `logging` a line costs three times as much, and every request has one.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if log_format == "json" else "%H:%M:%S.%f", utc=True),
    ]
    last: list[Processor]
    if log_format == "json":
        last = [structlog.processors.dict_tracebacks, _as_json]
        shared.append(lambda _logger, _method, event: {"service": service, **event})
    else:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty() or "FORCE_COLOR" in os.environ,
                pad_event_to=0,
                # The default draws every frame's variables, which holds up the event loop for seconds.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=_Line,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    handler = logging.StreamHandler(sys.stdout)
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


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def _as_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return to_json(event, fallback=repr).decode()


class _Line:
    """Writes a line to stdout; as with `logging`, a line that nobody takes stops nothing."""

    def __init__(self, name: str = "") -> None:
        self.name = name  # for add_logger_name

    def write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    debug = info = warning = error = critical = write
