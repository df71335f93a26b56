"""The W3C trace context (traceparent), which connects a request with the events that it causes in all
services.

Format and rules: W3C Trace Context, https://www.w3.org/TR/trace-context/
"""

import random
import re
from contextvars import ContextVar

import structlog

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_current: ContextVar[tuple[str, str] | None] = ContextVar("trace", default=None)


def continue_trace(traceparent: str | None) -> None:
    """Continues the caller's trace, or starts a new one if there is none or it is malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    trace_id, flags = match.groups() if match else (_digits(32), "00")
    _current.set((trace_id, flags))
    structlog.contextvars.bind_contextvars(trace_id=trace_id)


def traceparent() -> str:
    """The header for an outgoing call or event, with a new span id."""
    trace_id, flags = _current.get() or (_digits(32), "00")
    return f"00-{trace_id}-{_digits(16)}-{flags}"


def _digits(count: int) -> str:
    """Random hex digits, not for secrets: a pseudo-random generator is enough."""
    return f"{random.getrandbits(4 * count):0{count}x}"
