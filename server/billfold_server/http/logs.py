"""Logs: one JSON object per line on standard error, with the request's id and tenant on every line that it causes."""

import logging
import sys
from typing import Any

import structlog

from billfold_server.settings import Settings

__all__ = ["configure_logs"]


def configure_logs(settings: Settings) -> None:
    """Send every log, ours and the libraries', through one form.

    It is called once by whoever owns the process; embedding the server in another program leaves that program's logs
    alone.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
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
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _rendering(settings: Settings) -> list[Any]:
    watched = settings.log_format == "auto" and sys.stderr.isatty()
    if watched or settings.log_format == "console":
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    # A traceback without the values of variables: those may be anybody's secrets.
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=True)]
