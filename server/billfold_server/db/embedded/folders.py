"""Where the data lies, and as whom PostgreSQL runs on it.

PostgreSQL refuses to be root. When we are root it runs as another user, who must be able to reach the data: folders
that we make let that user pass through (not list, not write), folders that were there before are left as they are. So
root's default is below ``/var/lib``: root's home is closed to others, and so is a clone in it.
"""

import contextlib
import errno
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from billfold_server.db.embedded.errors import (
    DataDirUnreachable,
    DataDirUnwritable,
    DiskFull,
    EmbeddedPostgresError,
    NoUnprivilegedUser,
)

_ROOTS_DATA_DIR = Path("/var/lib/billfold")
_CANDIDATES = ("billfold", "postgres", "_postgres", "nobody")
"""Users to run as instead of root, best first: one made for us, PostgreSQL's on Debian and on macOS, anyone's."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class RuntimeUser:
    """The user that PostgreSQL runs as, where it isn't the one we are."""

    name: str
    uid: int
    gid: int


def default_data_dir() -> Path:
    """Return the data folder of a user who names none.

    Root gets ``/var/lib/billfold``, anyone else a folder of their own below ``$XDG_STATE_HOME`` (XDG Base Directory
    Specification), on macOS below ``~/Library/Application Support``.
    """
    if os.geteuid() == 0:
        return _ROOTS_DATA_DIR
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "billfold"
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification says to ignore a relative path.
    return (Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state") / "billfold"


def scratch_data_dir(name: str) -> Path:
    """Return a data folder for a throw-away cluster, the same for the same name; it is not made yet.

    Temporary folders of one's own (``mkdtemp``, pytest's) are closed to the user that PostgreSQL runs as under root,
    so these are made directly below the system's temporary folder.
    """
    return Path(tempfile.gettempdir()).resolve() / f"billfold-{os.geteuid()}-{name}"


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder as the embedded database needs it, for whoever keeps something there before it starts.

    Raises:
        EmbeddedPostgresError: It can't be made, or not used by PostgreSQL.
    """
    home = data_dir / "postgres"
    prepare_home(home, runtime_user(home / "data"))


def runtime_user(cluster: Path) -> RuntimeUser | None:
    """Choose the user to run PostgreSQL as; None is the one we are.

    A cluster that exists stays with its owner, so that a user who is created later changes nothing.

    Raises:
        NoUnprivilegedUser: We are root, and none of the users that we know of exists here.
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError, KeyError):
        owner = cluster.stat().st_uid
        if owner != 0:
            return _user(pwd.getpwuid(owner))
    for name in _CANDIDATES:
        with contextlib.suppress(KeyError):
            return _user(pwd.getpwnam(name))
    raise NoUnprivilegedUser(
        "PostgreSQL does not run as root, and there is no user to run it as: create one named billfold, "
        "or run Billfold as an ordinary user."
    )


def _user(entry: pwd.struct_passwd) -> RuntimeUser:
    return RuntimeUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def run_as(
    user: RuntimeUser | None, argv: list[str], *, timeout_s: float, lock: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of PostgreSQL's to its end, as that user and in an environment free of ours.

    Variables such as PGDATA or PGPORT would change what it does, and the folder we are in may be closed to the user.
    The descriptor of a lock, if given, keeps it locked until the program has ended, even if we are killed meanwhile.
    """
    return subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        cwd="/",
        env=clean_environment(),
        umask=0o077,
        pass_fds=[] if lock is None else [lock],
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


def clean_environment() -> dict[str, str]:
    """Return the environment that PostgreSQL's programs get: English messages, UTC, nothing of ours."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def prepare_home(home: Path, user: RuntimeUser | None) -> None:
    """Make the folder of the embedded database, and those above it that are missing.

    Raises:
        DataDirUnwritable: A folder can't be made, or belongs to someone else.
        DataDirUnreachable: The user that PostgreSQL runs as may not enter a folder that was there before.
        DiskFull: No space is left.
    """
    with os_errors_explained(home):
        folders = [*reversed(home.parents), home]
        missing = [folder for folder in folders if not folder.exists()]
        if user and (closed := first_closed([folder for folder in folders if folder not in missing], user)):
            raise DataDirUnreachable(
                f"PostgreSQL does not run as root, and the user it runs as instead ({user.name}) may not enter "
                f"{closed}: choose a data folder outside it, such as {_ROOTS_DATA_DIR}, or run Billfold as an "
                "ordinary user.",
                data_dir=str(home.parent),
                closed=str(closed),
                user=user.name,
            )
        for folder in missing:
            folder.mkdir(exist_ok=True)
            # Not by mkdir's mode, from which a umask would take what the other user needs.
            folder.chmod(0o711 if user else 0o700)
        if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
            # Not the same as a folder that somebody has deleted meanwhile.
            home.stat()
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(home))


def first_closed(folders: list[Path], user: RuntimeUser) -> Path | None:
    """Return the first of the folders that the user may not enter.

    Asked by entering them as that user, because mode bits don't tell the whole of it (ACLs, mounts).
    """
    enter_each = 'for folder do cd "$folder" 2>/dev/null || { printf %s "$folder"; exit 1; }; done'
    try:
        answer = run_as(user, ["/bin/sh", "-c", enter_each, "sh", *map(str, folders)], timeout_s=10)
    except OSError as error:
        raise not_allowed_to_become(user, error) from error
    return Path(answer.stdout) if answer.returncode else None


def not_allowed_to_become(user: RuntimeUser, error: OSError) -> NoUnprivilegedUser:
    """Return the error for a root that may not change its user, as in some containers."""
    return NoUnprivilegedUser(
        f"PostgreSQL does not run as root, and this system does not let root run it as {user.name} "
        f"({error.strerror}): run Billfold as an ordinary user.",
        user=user.name,
    )


@contextlib.contextmanager
def os_errors_explained(home: Path) -> Iterator[None]:
    """Turn an operating system's refusal to work in the data folder into the sentence that says what to do."""
    try:
        yield
    except OSError as error:
        raise explained(error, home) from error


def explained(error: OSError, home: Path) -> EmbeddedPostgresError:
    """Return the sentence for an error of the operating system in the data folder."""
    where = error.filename or home
    if error.errno in _FULL:
        return disk_full(home)
    return DataDirUnwritable(
        f"Billfold can't keep its database in {home.parent} ({error.strerror}: {where}{_owned_by(Path(where))}): "
        "choose a data folder that you may write to, or have this one given to you.",
        data_dir=str(home.parent),
        errno=error.errno,
    )


def disk_full(home: Path) -> DiskFull:
    """Return the error for a full disk, with the space that a cluster needs."""
    return DiskFull(
        f"No space is left for the database in {home.parent}: free some (a new one takes about 100 MB), "
        "or choose a data folder on another disk.",
        data_dir=str(home.parent),
    )


def _owned_by(path: Path) -> str:
    with contextlib.suppress(OSError, KeyError):
        owner = path.stat().st_uid
        if owner != os.geteuid():
            return f", which belongs to {pwd.getpwuid(owner).pw_name}"
    return ""
