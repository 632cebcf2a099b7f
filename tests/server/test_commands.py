"""What the rooms' commands have in common."""

from billfold_server.commands import counted


class TestACount:
    def test_agrees_with_what_is_counted(self) -> None:
        """One is one, and none are many."""
        assert [counted(number, "link") for number in (0, 1, 2, 1234)] == [
            "0 links",
            "1 link",
            "2 links",
            "1,234 links",
        ]
        assert [counted(number, "entry is", "entries are") for number in (1, 2)] == ["1 entry is", "2 entries are"]
