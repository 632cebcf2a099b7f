"""The statement import's example runs as it stands and prints what is promised; a second run changes nothing."""

from pathlib import Path

from tests.examples.conftest import Run

SCRIPT = "statement_import/statement_import.py"
EXPECTED = (Path(__file__).parent / "statement_import.txt").read_text(encoding="utf-8")


class TestTheStatementImport:
    def test_prints_what_it_promises(self, run: Run):
        """Wallets are funded from both files, and run again, the example leaves every balance as it was."""
        assert run(SCRIPT) == EXPECTED
        balances = EXPECTED.splitlines()[-3:]
        assert run(SCRIPT).splitlines()[-3:] == balances
