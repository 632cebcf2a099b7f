"""Logs: one JSON object per line on standard error; every line that a request causes has its id, trace and tenant."""

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any

import asyncpg
import msgspec
import structlog

from billfold_server.http.context import REQUEST, RequestContext
from billfold_server.settings import Settings

__all__ = ["add_request", "configure_logs", "keep_logs_apart", "leave_logs_to_the_program", "note_request"]


def note_request(context: RequestContext) -> None:
    """Let all log lines that a request causes have its id, trace and tenant.

    What logs is seldom, and what is noted here is read by ``add_request`` then. A program with a configuration of its
    own, which hasn't that, finds the same in structlog's own variables, which cost some microseconds.
    """
    REQUEST.set(context)
    if add_request not in structlog.get_config()["processors"]:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**add_request(None, "", {}))


def add_request(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the request's id, trace and tenant to a line; one of structlog's processors.

    Source: OpenTelemetry, "Trace Context in non-OTLP Log Formats", for the names of what says where in a trace it is.
    """
    context = REQUEST.get()
    if context is not None:
        event.setdefault("request_id", context.request_id)
        event.setdefault("trace_id", context.trace.trace_id)
        event.setdefault("span_id", context.trace.span_id)
        if context.tenant is not None:
            event.setdefault("tenant", context.tenant.slug)
    return event


def configure_logs(settings: Settings) -> None:
    """Send every log, ours and the libraries', through one form.

    It is called once by whoever owns the process; embedding the server in another program leaves that program's logs
    alone.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # Every request is logged here already, with more to it.
    logging.getLogger("uvicorn.access").disabled = True
    # Piccolo tells at each start for which version of PostgreSQL it writes its SQL, as if that one were running.
    logging.getLogger("piccolo").setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def keep_logs_apart(settings: Settings) -> None:
    """Send what is logged while a command works to standard error: its result alone goes to standard output.

    Where nobody says so, structlog prints there, and the values of variables with each traceback.
    """
    # What a server tells of its work by default is no news to who waits for a command.
    level = "warning" if settings.log_level == "info" else settings.log_level
    configure_logs(msgspec.structs.replace(settings, log_level=level))


def leave_logs_to_the_program() -> None:
    """Send our logs to the standard library's loggers, where the program around us decides what becomes of them.

    Unconfigured, structlog would print every line. What the program has configured itself is left as it is.
    """
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            add_request,
            structlog.processors.format_exc_info,
            structlog.stdlib.render_to_log_kwargs,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _rendering(settings: Settings) -> list[Any]:
    exceptions = structlog.processors.ExceptionRenderer(traceback_of)
    watched = settings.log_format == "auto" and sys.stderr.isatty()
    if watched or settings.log_format == "console":
        # Its own tracebacks would show the values of variables.
        plain = structlog.dev.plain_traceback
        return [exceptions, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return [exceptions, structlog.processors.JSONRenderer(ensure_ascii=True)]


ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def traceback_of(exc_info: ExcInfo) -> str:
    """Return a traceback as logs may show it: where something failed and how, but no values.

    The values of variables may be anybody's secrets. What PostgreSQL tells of the row or the value that it refuses
    (``DETAIL: Failing row contains …``) is somebody's name or bank account, and logs are never erased.
    """
    refusals = [error for error in _chain(exc_info[1]) if isinstance(error, asyncpg.PostgresError)]
    told = [(error, error.args, error.detail) for error in refusals]
    try:
        for error in refusals:
            error.detail = None
            if isinstance(error, asyncpg.DataError):
                # Class 22 quotes the value in the message itself.
                error.args = ("(the message holds a value, and is left out)",)
        return "".join(traceback.format_exception(*exc_info)).rstrip("\n")
    finally:
        for error, args, detail in told:
            error.args, error.detail = args, detail


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception with all from which it came."""
    waiting, seen = [error], set[int]()
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        waiting += [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
