"""The statement import's example runs as it stands and prints what is promised; a second run changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

from tests.live import LiveServer
from tests.sandbox import options

ROOT = Path(__file__).parents[2]
EXPECTED = (Path(__file__).parent / "statement_import.txt").read_text(encoding="utf-8")


def run(live: LiveServer) -> str:
    """Run the example with nothing but the variables that `billfold up` prints."""
    variables = {f"BILLFOLD_{name.upper()}": value for name, value in options(live).items()}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "statement_import" / "statement_import.py")],
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT / "sdk")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class TestTheStatementImport:
    def test_prints_what_it_promises(self, live: LiveServer):
        """Wallets are funded from both files, and run again, the example leaves every balance as it was."""
        assert run(live) == EXPECTED
        balances = EXPECTED.splitlines()[-3:]
        assert run(live).splitlines()[-3:] == balances
