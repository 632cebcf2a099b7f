"""The example of bulk payouts runs as it stands and prints what is promised."""

from pathlib import Path

from tests.examples.conftest import Run

EXPECTED = (Path(__file__).parent / "bulk_payouts.txt").read_text(encoding="utf-8")


class TestTheBulkPayouts:
    def test_print_what_they_promise(self, run: Run):
        """The script needs nothing but the variables that `billfold up` prints."""
        assert run("bulk_payouts.py") == EXPECTED
