"""The quickstarts run as they stand and print what is promised, in both modes."""

from pathlib import Path

import pytest

from tests.examples.conftest import Run

EXPECTED = (Path(__file__).parent / "quickstart.txt").read_text(encoding="utf-8")


class TestAQuickstart:
    @pytest.mark.parametrize("mode", ["sync", "async"])
    def test_prints_what_it_promises(self, mode: str, run: Run):
        """The script needs nothing but the variables that `billfold up` prints."""
        assert run(f"quickstart_{mode}.py") == EXPECTED
