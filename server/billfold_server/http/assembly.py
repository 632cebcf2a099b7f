"""Litestar's application and handlers, made without what hundreds of handlers of one kind don't need.

By itself Litestar looks at every path it knows whenever one is added, reads the signature of each handler anew, and
loads pydantic where that is installed, for types that are none of ours. That took most of the half second in which a
worker makes its application.
"""

import functools
from typing import Any, Final

from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ASGIApp
from litestar.types.internal_types import RouteHandlerMapItem
from litestar.utils.signature import ParsedSignature

__all__ = ["Assembled", "PathHandler"]


async def _like_all(request: Request[Any, Any, Any]) -> ASGIApp:
    """Have the signature that all handlers have."""
    raise NotImplementedError


@functools.cache
def _signature() -> ParsedSignature:
    return ParsedSignature.from_fn(_like_all, {})


class PathHandler(HTTPRouteHandler):
    """A handler that takes the request and returns an application, as all of ours do."""

    @property
    def parsed_fn_signature(self) -> ParsedSignature:
        """Return the signature, which is read once."""
        return _signature()


_NOTHING: Final[dict[str, RouteHandlerMapItem]] = {}


class Assembled(Litestar):
    """An application whose handlers are all given at once, each with a path of its own."""

    @property
    def route_handler_method_map(self) -> dict[str, RouteHandlerMapItem]:
        """Return which handlers a path has already while it gets one: none."""
        return _NOTHING

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        """Return what understands the types that we have."""
        return [*plugins, MsgspecDIPlugin()]
