"""The W3C trace context (traceparent) that ties a request to the events it causes, in every service.

Format and rules: W3C Trace Context, https://www.w3.org/TR/trace-context/
"""

import re
import secrets
from contextvars import ContextVar

import structlog

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_current: ContextVar[tuple[str, str] | None] = ContextVar("trace", default=None)


def continue_trace(traceparent: str | None) -> None:
    """Go on with the caller's trace, or begin one when there is none or it is malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    trace_id, flags = match.groups() if match else (secrets.token_hex(16), "00")
    _current.set((trace_id, flags))
    structlog.contextvars.bind_contextvars(trace_id=trace_id)


def traceparent() -> str:
    """The header for the next hop, with a span id of its own."""
    trace_id, flags = _current.get() or (secrets.token_hex(16), "00")
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"
