"""The quickstarts run as they stand and print what is promised, in both modes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import LiveServer
from tests.sandbox import options

ROOT = Path(__file__).parents[2]
EXPECTED = (Path(__file__).parent / "quickstart.txt").read_text(encoding="utf-8")


class TestAQuickstart:
    @pytest.mark.parametrize("mode", ["sync", "async"])
    def test_prints_what_it_promises(self, mode: str, live: LiveServer):
        """The script needs nothing but the variables that `billfold up` prints."""
        variables = {f"BILLFOLD_{name.upper()}": value for name, value in options(live).items()}
        run = subprocess.run(
            [sys.executable, str(ROOT / "examples" / f"quickstart_{mode}.py")],
            env={**os.environ, **variables, "PYTHONPATH": str(ROOT / "sdk")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout == EXPECTED
