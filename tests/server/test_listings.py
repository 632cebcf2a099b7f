"""Lists on the command line."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from billfold import ids
from billfold.ids import Prefix
from billfold_server.listings import listing, print_listing

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
