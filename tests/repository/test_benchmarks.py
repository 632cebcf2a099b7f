"""A benchmark in its quickest form: what it would measure is nothing, but it runs to its end.

The others do with ``nox -s bench -- --quick --large``, which takes too long for every change.
"""

import os
import subprocess
import sys

import pytest

from tests.postgres import binaries
from tests.repository.tracked import ROOT
from tests.server.upping import environment


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestTheBenchmarkOfTheEngine:
    """The benchmark of the engine."""

    def test_runs_and_finds_right_answers(self) -> None:
        """It gives its orders, finds the books as answered, and fills its rows of the table."""
        binaries(18)
        command = [sys.executable, "-m", "pytest", "tests/benchmarks/test_engine.py"]
        done = subprocess.run(
            [*command, "--quick", "-q", "-p", "no:cacheprovider"],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            # What pytest brings along looks for packages that an installation needn't have.
            env=environment(PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        table = [line for line in done.stdout.splitlines() if line.startswith("| ")]
        assert any("Engine in process" in line for line in table), done.stdout
