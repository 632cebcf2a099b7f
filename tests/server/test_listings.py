"""Lists on the command line."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from billfold import ids
from billfold.ids import Prefix
from billfold_server.listings import PlainTable, listing, print_listing

ROWS = [
    (ids.new(Prefix.USER), "staff", f"somebody.with.a.long.name.{at}@bank.example", "approver operator", "2026-11-21")
    for at in range(3)
]


def made() -> Table:
    """Return a list of users."""
    table = listing("User id", "Realm", "Login name", "Roles", "Last sign-in")
    for row in ROWS:
        table.add_row(*row)
    return table


class TestAListing:
    """A list."""

    @pytest.mark.parametrize("width", [60, 80, 200])
    def test_shows_ids_whole_at_any_terminal(self, width: int) -> None:
        """They begin alike, so one that is cut off names nothing."""
        shown = io.StringIO()
        Console(file=shown, width=width, color_system=None).print(made())
        lines = shown.getvalue().splitlines()
        assert [sum(row[0] in line for line in lines) for row in ROWS] == [1, 1, 1]
        assert max(map(len, lines)) <= width

    def test_leaves_nothing_out(self) -> None:
        """What is too long is broken, not cut off."""
        shown = io.StringIO()
        Console(file=shown, width=80, color_system=None).print(made())
        assert "…" not in shown.getvalue()

    def test_has_one_line_for_each_row_where_a_program_reads_it(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However narrow the terminal is of which the program knows."""
        monkeypatch.setenv("COLUMNS", "80")
        print_listing(made())
        lines = capsys.readouterr().out.splitlines()
        assert [line.split() for line in lines[1:]] == [" ".join(row).split() for row in ROWS]


class TestATable:
    """A table of what others have chosen."""

    @pytest.mark.parametrize("text", ["Bank [Ltd]", "[bold]Bank", "[/x]", ":bank:", "[link=https://x.example]Bank[/]"])
    def test_shows_texts_letter_by_letter(self, text: str) -> None:
        """What would be markup or a picture's name is a text like any other, and ends no command."""
        assert text in shown_of(text)

    @pytest.mark.parametrize("hidden", ["\x1b", "\x9b", "\u202e", "\u200b", "\r"])
    def test_marks_what_a_terminal_would_obey(self, hidden: str) -> None:
        """A name moves no cursor, and turns nothing around that stands beside it."""
        shown = shown_of(f"Bank{hidden}[31m")
        assert (hidden in shown, "Bank\N{REPLACEMENT CHARACTER}[31m" in shown) == (False, True)

    def test_cuts_nothing_off(self) -> None:
        """What is too long for its column is broken, in columns of any kind."""
        table = PlainTable("Folder", box=None)
        table.add_column("Bytes", justify="right")
        table.add_row("/srv/archive/" * 9, "1" * 90)
        shown = io.StringIO()
        Console(file=shown, width=60, color_system=None).print(table)
        assert ("…" in shown.getvalue(), shown.getvalue().count("1")) == (False, 90)

    def test_keeps_the_lines_of_a_text(self) -> None:
        """A manifest has several."""
        assert [line.strip() for line in shown_of("{\n1\n}").splitlines()[1:]] == ["{", "1", "}"]


def shown_of(text: str) -> str:
    """Return how a table shows a text."""
    table = PlainTable("Name", box=None)
    table.add_row(text)
    shown = io.StringIO()
    Console(file=shown, width=60, force_terminal=True, color_system=None).print(table)
    return shown.getvalue()
