"""The shop's tests run as they stand, heed no setting of the environment, and leave nothing behind."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

from billfold_server.serving.testing.folders import folder_of
from tests.announcing import announce
from tests.patient.sitecustomize import PATH

ROOT = Path(__file__).parents[2]
EXPECTED = (Path(__file__).parent / "testing_a_shop.txt").read_text(encoding="utf-8")


class TestAShopsTests:
    def test_print_what_they_promise(self, tmp_path: Path):
        """A partner's suite passes, and the database server that it had is gone with it."""
        run = uuid.uuid4().hex
        path = os.pathsep.join(map(str, (PATH, announce(tmp_path), ROOT / "sdk", ROOT / "server")))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "BILLFOLD_"))}
        kept |= {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""}
        # As a process of pytest-xdist's is told, and as a developer may have set for a server.
        kept |= {"PYTEST_XDIST_TESTRUNUID": run, "BILLFOLD_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"],
            cwd=ROOT / "examples" / "testing_a_shop",
            env=kept,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        passed = re.findall(r"^test_shop\.py::(\S+) PASSED", done.stdout, flags=re.MULTILINE)
        assert sorted(passed) == EXPECTED.splitlines()
        assert not folder_of(run).exists()
