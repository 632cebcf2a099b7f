"""What the rooms' commands have in common."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeAlias

import click

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["OpenServices", "json_option"]

OpenServices: TypeAlias = Callable[[], AbstractAsyncContextManager["Services"]]
"""Opens the server's parts for a command, and closes them after."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
