"""Conditions of a list's query, as far as the caller has given filters."""

from typing import Any

__all__ = ["Filter"]


class Filter:
    """A WHERE clause of fixed texts and numbered parameters.

    Values never enter the text, so a query has as many texts as there are sets of filters, and no more.
    """

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: object) -> None:
        """Add a condition unless its first value is None; each ``$`` in it stands for one of the values, in order."""
        if values and values[0] is None:
            return
        for value in values:
            self.values.append(value)
            condition = condition.replace("$", f"\0{len(self.values)}", 1)
        self.conditions.append(condition.replace("\0", "$"))

    def __str__(self) -> str:
        return " AND ".join(self.conditions) or "TRUE"
