"""What differs between the two halves of ``billfold.testing``."""

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

__all__ = ["off_loop"]

T = TypeVar("T")


async def off_loop(work: Callable[[], T]) -> T:
    """Do something that waits, while the event loop goes on."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
