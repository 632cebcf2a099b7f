"""How an error whose arguments aren't what it says crosses a process boundary."""

import copyreg
from typing import Any

__all__ = ["Remade"]


class Remade:
    """An error that is made anew from what it says, and not from the arguments of its class.

    Python would call the class with its message alone, which fails there, and ends a whole pool of processes.
    """

    args: tuple[Any, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross a process boundary with all that it holds."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]
