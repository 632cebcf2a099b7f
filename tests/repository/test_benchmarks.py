"""A benchmark in its quickest form: what it would measure is nothing, but it runs to its end.

The others do with ``nox -s bench -- --quick --large``, which takes too long for every change.
"""

import os
import subprocess
import sys

import pytest

from tests.benchmarks.ground import family_s, processor_s
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


_WORK = "import time; all(iter(lambda: time.process_time() < 0.2, False))"
"""Takes a fifth of a second of a processor, however fast that is."""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/<pid>/stat")
class TestTheTimeOfAFamily:
    """The processor time of a family of processes."""

    def test_has_that_of_children_that_have_ended(self) -> None:
        """A session of PostgreSQL ends with its connection, and what it has taken was taken all the same."""
        work = [f'"$0" -S -c "{_WORK}"', "echo done", "read _"]
        parent = ["/bin/sh", "-c", "; ".join(work), sys.executable]
        with subprocess.Popen(parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
            assert living.stdout is not None
            assert living.stdout.readline() == b"done\n"
            assert family_s(living.pid) >= processor_s(living.pid) + 0.05

    def test_has_that_of_children_whose_end_their_parent_has_not_heard_of(self) -> None:
        """Sessions that have just ended count no less than before, and not a second time once they are buried."""
        program = (
            "import os, subprocess, sys; "
            f"child = subprocess.Popen([sys.executable, '-S', '-c', '{_WORK}']); "
            "os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT); print('ended', flush=True); "
            "sys.stdin.readline(); child.wait(); print('buried', flush=True); sys.stdin.readline()"
        )
        parent = [sys.executable, "-S", "-c", program]
        with subprocess.Popen(parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
            assert living.stdin is not None
            assert living.stdout is not None
            assert living.stdout.readline() == b"ended\n"
            ended_s = family_s(living.pid)
            assert ended_s >= processor_s(living.pid) + 0.05
            living.stdin.write(b"\n")
            living.stdin.flush()
            assert living.stdout.readline() == b"buried\n"
            assert family_s(living.pid) == pytest.approx(ended_s, abs=0.05)
