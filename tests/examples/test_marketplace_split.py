"""The marketplace's example runs as it stands and prints what is promised."""

from pathlib import Path

from tests.examples.conftest import Run

EXPECTED = (Path(__file__).parent / "marketplace_split.txt").read_text(encoding="utf-8")


class TestTheMarketplace:
    def test_prints_what_it_promises(self, run: Run):
        """A purchase is split to the cent, and one that can't be paid moves nothing."""
        assert run("marketplace_split.py") == EXPECTED
