"""Processes that use an embedded PostgreSQL, and ways to look at its folder."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from billfold_server.db.embedded.binaries import find_binaries
from billfold_server.db.embedded.locks import is_locked

USER_OF_THE_DATABASE = """
import sys
from pathlib import Path
from billfold_server.db.embedded import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]), binaries=globals().get("binaries"))
print(server.start(), flush=True)
sys.stdin.read()
print(server.stop(), flush=True)
"""
NOBODY = 65534
# Root may be the only one who can read this Python and the wheel. So what is needed is imported as root, and the
# programs are those that root's own start would use.
NOBODY_BECOMES_A_USER = f"""
import os
from billfold_server.db.embedded.binaries import find_binaries, runnable_binaries
from billfold_server.db.embedded.folders import RuntimeUser

binaries = runnable_binaries(find_binaries(), RuntimeUser("nobody", {NOBODY}, {NOBODY})).folder
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""


def python(*args: str) -> "subprocess.Popen[str]":
    """Start a Python that finds what this one finds."""
    return subprocess.Popen(
        [sys.executable, "-B", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def lasting(folder: Path, end: Path) -> str:
    """Make programs in a folder, and return what lets users take them: initdb ends no sooner than a file is there.

    Whoever is to be killed while it runs may otherwise stand still until it is done.
    """
    for name in ("initdb", "postgres"):
        lasts = f'[ "$1" = --version ] || until [ -e {shlex.quote(str(end))} ]; do sleep 0.01; done'
        program = folder / name
        program.write_text(f'#!/bin/sh\n{shlex.quote(str(find_binaries() / name))} "$@" || exit\n{lasts}\n')
        program.chmod(0o755)
    return f"from pathlib import Path\nbinaries = Path({str(folder)!r})\n"


def said(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leave(process: "subprocess.Popen[str]") -> str:
    """Let a user of the database stop, and return whether it stopped the server."""
    assert process.stdin is not None
    process.stdin.close()
    answer = said(process)
    end(process)
    return answer


def end(process: "subprocess.Popen[str]") -> None:
    """Wait for a process and close what connects us to it."""
    process.wait(timeout=60)
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a user of the database without warning."""
    process.kill()
    end(process)


def home(data_dir: Path) -> Path:
    """Return the folder in which everything of the embedded database lies."""
    return data_dir / "postgres"


def postmaster(data_dir: Path) -> int:
    """Return the number of the server's main process."""
    return int((home(data_dir) / "data" / "postmaster.pid").read_text().split()[0])


def running(data_dir: Path) -> bool:
    """Tell whether any process of the server is left."""
    return is_locked(home(data_dir) / "running")


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose working folder this is, which is how PostgreSQL runs; zombies have none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found
