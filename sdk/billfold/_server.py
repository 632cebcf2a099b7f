"""The one place where the SDK finds the server, which a plain install doesn't have.

The SDK never imports the server: what it needs of it is announced by the distribution as entry points, one name per
thing, and loaded on first use. Every module of the SDK can therefore be imported without any extra.
"""

import functools
import importlib.metadata
from typing import Any, Final

__all__ = ["MissingExtraError", "load"]

GROUP: Final = "billfold.server"


class MissingExtraError(ImportError):
    """Something needs packages that a plain install of the SDK leaves out.

    Attributes:
        extra: What to name in brackets on the next install, such as ``server``.
    """

    def __init__(self, extra: str, *, name: str | None = None) -> None:
        super().__init__(f"This needs more than the SDK; install it with: pip install 'billfold[{extra}]'", name=name)
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross a process boundary."""
        return functools.partial(type(self), name=self.name), (self.extra,)


def load(name: str, *, extra: str = "server") -> Any:
    """Load what the server announces under a name.

    A library that is missing is told apart from a mistake in our own code: only the former is a missing extra.

    Raises:
        MissingExtraError: The server isn't installed, or not with the libraries it needs.
    """
    entry_points = importlib.metadata.entry_points(group=GROUP, name=name)
    if not entry_points:
        raise MissingExtraError(extra)
    (entry_point,) = set(entry_points)
    try:
        return entry_point.load()
    except ModuleNotFoundError as error:
        if _is_ours(error.name):
            raise
        raise MissingExtraError(extra, name=error.name) from error


def _is_ours(module: str | None) -> bool:
    return module is None or module.partition(".")[0] in {"billfold", "billfold_server"}
