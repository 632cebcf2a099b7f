"""Work beside an open transaction, as another request would do it."""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def apart(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start work in a context of its own, where the caller's transaction isn't open."""
    return asyncio.get_running_loop().create_task(work, context=contextvars.Context())
