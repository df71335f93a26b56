"""The W3C trace context (traceparent) that ties a request to the events it causes, in every service.

Format and rules: W3C Trace Context, https://www.w3.org/TR/trace-context/
"""

import random
import re
from contextvars import ContextVar

import structlog

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_current: ContextVar[tuple[str, str] | None] = ContextVar("trace", default=None)


def continue_trace(traceparent: str | None) -> None:
    """Go on with the caller's trace, or begin one when there is none or it is malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    trace_id, flags = match.groups() if match else (_digits(32), "00")
    _current.set((trace_id, flags))
    structlog.contextvars.bind_contextvars(trace_id=trace_id)


def traceparent() -> str:
    """The header for the next hop, with a span id of its own."""
    trace_id, flags = _current.get() or (_digits(32), "00")
    return f"00-{trace_id}-{_digits(16)}-{flags}"


def _digits(count: int) -> str:
    """Random hex digits; no secret, so the kernel is not asked for them."""
    return f"{random.getrandbits(4 * count):0{count}x}"
