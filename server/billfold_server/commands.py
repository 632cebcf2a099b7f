"""What the rooms' commands have in common."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeAlias

import click

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["OpenServices", "counted", "json_option"]

OpenServices: TypeAlias = Callable[[], AbstractAsyncContextManager["Services"]]
"""Opens the server's parts for a command, and closes them after."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return how many there are of something, as a sentence says it.

    Args:
        number: How many.
        one: What stands behind 1.
        many: What stands behind any other number; the same with an s where absent.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
