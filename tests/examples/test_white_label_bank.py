"""The example of a bank's own brand runs as it stands and prints what is promised."""

from pathlib import Path

from tests.examples.conftest import ROOT, Run

EXPECTED = (Path(__file__).parent / "white_label_bank.txt").read_text(encoding="utf-8")
MANIFEST = ROOT / "examples" / "white_label_bank" / "moss_bank" / "tenant.toml"


class TestTheBank:
    def test_prints_what_it_promises(self, run: Run):
        """Ten lines make a bank with tokens, keys and pages of its own."""
        assert len(MANIFEST.read_text(encoding="utf-8").splitlines()) == 10
        assert run("white_label_bank/white_label_bank.py") == EXPECTED
