"""The example of bulk payouts runs as it stands and prints what is promised."""

import os
import subprocess
import sys
from pathlib import Path

from tests.live import LiveServer
from tests.sandbox import options

ROOT = Path(__file__).parents[2]
EXPECTED = (Path(__file__).parent / "bulk_payouts.txt").read_text(encoding="utf-8")


class TestTheBulkPayouts:
    def test_print_what_they_promise(self, live: LiveServer):
        """The script needs nothing but the variables that `billfold up` prints."""
        variables = {f"BILLFOLD_{name.upper()}": value for name, value in options(live).items()}
        run = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "bulk_payouts.py")],
            env={**os.environ, **variables, "PYTHONPATH": str(ROOT / "sdk")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout == EXPECTED
