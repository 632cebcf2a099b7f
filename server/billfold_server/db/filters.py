"""Conditions of a list's query, as far as the caller has given filters."""

import re
from typing import Any, Final

__all__ = ["Filter"]

_WORD: Final = re.compile("[A-Za-z_]+")


class Filter:
    """A WHERE clause of fixed texts and numbered parameters.

    Values never enter the text, so a query has as many texts as there are sets of filters and of words, and no more.
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

    def add_word(self, column: str, word: str | None) -> None:
        """Add that a column holds a word of one of our enumerations, which stands in the text, unless it is None.

        A plan is kept for each text. One that is made for all words finds those of which there are few by reading all
        the others, and has no use for an index of some words alone.

        Raises:
            ValueError: It is no such word.
        """
        if word is None:
            return
        found = _WORD.fullmatch(word)
        if found is None:
            msg = "only a word of an enumeration may stand in a query"
            raise ValueError(msg)
        self.conditions.append(f"{column} = '{found.group()}'")

    def __str__(self) -> str:
        return " AND ".join(self.conditions) or "TRUE"
