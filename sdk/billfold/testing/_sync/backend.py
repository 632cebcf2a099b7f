"""What differs between the two halves of ``billfold.testing``."""

from collections.abc import Callable
from typing import TypeVar

__all__ = ["off_loop"]

T = TypeVar("T")


def off_loop(work: Callable[[], T]) -> T:
    """Do something that waits."""
    return work()
