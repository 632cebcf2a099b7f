"""Spans of OpenTelemetry's for the calls of programs that trace, and nothing at all for the others.

A program that traces has loaded OpenTelemetry before it calls; one that hasn't pays for a look into a dictionary. Names
and attributes are those of OpenTelemetry's conventions for HTTP clients. No span holds an id, a query or a body, any of
which may be about a person.
"""

import sys
import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from billfold import errors

if TYPE_CHECKING:
    from billfold.client._flow import Call
    from billfold.client._message import Request, Response

__all__ = ["CallSpan", "begin"]

_NAME: Final = "billfold"


class CallSpan:
    """The span of one call, with all its attempts.

    Args:
        span: OpenTelemetry's.
        context: In which it is the present one.
    """

    __slots__ = ("_attempts", "_context", "_span")

    def __init__(self, span: Any, context: Any) -> None:
        self._span = span
        self._context = context
        self._attempts = 0

    def send(self, request: "Request") -> None:
        """Let a request say which trace it belongs to (W3C Trace Context, unless the program has chosen another)."""
        self._attempts += 1
        from opentelemetry import propagate  # noqa: PLC0415 - Here, as OpenTelemetry is, and it costs a look-up.

        propagate.inject(request.headers, self._context)

    def note(self, response: "Response") -> None:
        """Note what a request was answered."""
        self._span.set_attribute("http.response.status_code", response.status)
        if request_id := response.headers.get("x-request-id"):
            self._span.set_attribute("billfold.request_id", request_id)

    def end(self, error: BaseException | None) -> None:
        """End the span with what came of the call."""
        if self._attempts > 1:
            self._span.set_attribute("http.request.resend_count", self._attempts - 1)
        if error is not None:
            kind = error.code if isinstance(error, errors.ProblemError) else type(error).__name__
            self._span.set_attribute("error.type", kind)
            trace = sys.modules["opentelemetry.trace"]
            # Without the message, which is about one case.
            self._span.set_status(trace.Status(trace.StatusCode.ERROR))
        self._span.end()


def begin(call: "Call") -> CallSpan | None:
    """Return a span for a call, or None where nobody traces."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    parts = urllib.parse.urlsplit(call.url)
    path = call.template or parts.path
    attributes: dict[str, Any] = {
        "http.request.method": call.method,
        "url.template": path,
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
    }
    tracer = trace.get_tracer(_NAME)
    span = tracer.start_span(f"{call.method} {path}", kind=trace.SpanKind.CLIENT, attributes=attributes)
    if not span.get_span_context().is_valid:
        # The interfaces are loaded, as by some library, but nothing that records.
        return None
    return CallSpan(span, trace.set_span_in_context(span))
