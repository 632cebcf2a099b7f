"""The files that belong to the project, as git knows them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@cache
def tracked_files() -> list[Path]:
    """List the tracked files and those that are about to be; skips where there is no git to ask.

    A checkout may belong to another user than the one who runs the tests, as it often does in containers; git is told
    that this is fine, since it is only asked for names.
    """
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    command = [git, "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in printed.split("\0") if name and (path := ROOT / name).is_file()]


def python_files() -> list[Path]:
    """List those that hold Python."""
    return [path for path in tracked_files() if path.suffix == ".py"]
