"""The benchmarks themselves, in their quickest form: what they would measure is nothing, but they run to the end."""

import subprocess
import sys

import pytest

from tests.postgres import binaries
from tests.repository.tracked import ROOT
from tests.server.upping import environment

BENCHMARKS = [f"tests/benchmarks/test_{name}.py" for name in ("engine", "http", "large")]


@pytest.mark.slow
@pytest.mark.xdist_group("benchmarks")
@pytest.mark.timeout(400)
class TestTheBenchmarks:
    """The benchmarks."""

    def test_run_and_find_right_answers(self) -> None:
        """Each block gives its orders, finds the books as answered, and fills its rows of the table."""
        binaries(18)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *BENCHMARKS, "--quick", "--large", "-q", "-p", "no:cacheprovider"],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        table = [line for line in done.stdout.splitlines() if line.startswith("| ")]
        for what in ("Engine in process", "HTTP single", "Balance as of a time"):
            assert any(what in line for line in table), done.stdout
