"""Lists on the command line, whose ids are always whole: the next command wants to be told one.

Ids begin with the time (RFC 9562, section 5.7), so what is made on one day differs only at the end, and an id that was
cut off names nothing. What others have chosen, as names and reasons, is shown letter by letter.
"""

from typing import Any, Final

from rich.console import Console, OverflowMethod
from rich.table import Column, Table
from rich.text import Text

from billfold.contract.texts import without_hidden

__all__ = ["PlainTable", "findings_of", "listing", "print_listing"]

_PADDING: Final = (0, 1, 0, 0)
_BY_PROGRAMS: Final = 1_000
"""How wide a line may be where no terminal shows it."""


class PlainTable(Table):
    """A table of texts that are shown as they are.

    Rich would read brackets in a text as its own markup: "[Ltd]" could be gone, "[/x]" end the command, "[link=…]" be a
    link. And a terminal would obey what isn't seen.
    """

    def add_column(self, *names: Any, overflow: OverflowMethod = "fold", **options: Any) -> None:
        """Add a column in which what is too long is broken and never cut off: half an id, or half a file, is none."""
        super().add_column(*names, overflow=overflow, **options)

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row of texts."""
        super().add_row(*(Text("\n".join(map(without_hidden, cell.split("\n")))) for cell in cells), **options)


def listing(id_name: str, *names: str) -> PlainTable:
    """Return a table whose first column is an id, whole and in one line; what else is too long is broken.

    Args:
        id_name: What the ids are of.
        names: The other columns.
    """
    table = PlainTable(Column(id_name, no_wrap=True, min_width=30), box=None, padding=_PADDING)
    for name in names:
        table.add_column(name)
    return table


def findings_of(title: str) -> PlainTable:
    """Return a table for what a verification has found, in which what is too long is broken and never cut off.

    Args:
        title: What was verified.
    """
    return PlainTable("What", "Object", "What was found", title=title)


def print_listing(table: Table) -> None:
    """Print a table: within the lines of a terminal, or one line to a row for who reads it by a program."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_BY_PROGRAMS)
    console.print(table)
