"""The files of one database cluster: made once, whole or not at all, and started with our settings."""

import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from billfold_server.db.embedded.binaries import Binaries
from billfold_server.db.embedded.errors import ClusterVersionMismatch, EmbeddedPostgresError, InitFailed, StartFailed
from billfold_server.db.embedded.folders import RuntimeUser, clean_environment, disk_full, run_as
from billfold_server.db.embedded.sizing import Machine, look_at_machine, sizes
from billfold_server.db.ports import HOST, free_ports, is_free

OWNER = "billfold"
"""The superuser of the cluster, who owns its databases."""
_INITDB_TIMEOUT_S = 120
_BUILTIN_LOCALES_SINCE = 17


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's folder and how it is run.

    Attributes:
        home: Holds the cluster (``data``) and what only we may read: password, port, log and locks.
        binaries: The programs that run it.
        user: Who runs it, where that isn't us.
        max_connections: How many connections it accepts.
        durable: Whether a commit is on disk when it is acknowledged. False is for throw-away test clusters.
    """

    home: Path
    binaries: Binaries
    user: RuntimeUser | None
    max_connections: int
    durable: bool

    @property
    def data(self) -> Path:
        """The folder that PostgreSQL calls its data directory."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """The log since the last start; the one before has ``.1`` at its end."""
        return self.home / "postgres.log"

    def ensure_made(self, starting_lock: int) -> None:
        """Make the cluster unless it exists; an attempt that was cut short leaves only rubbish, which goes first.

        An initdb whose caller was killed goes on for a moment. It holds the caller's lock, so we are not here before
        it has ended, and nothing is removed from under it.

        Raises:
            ClusterVersionMismatch: It exists, made by another major version.
            InitFailed: It can't be made.
            DiskFull: No space is left for it.
        """
        for left_by_a_killed_one in self.home.glob("init-*"):
            shutil.rmtree(left_by_a_killed_one)
        if self.data.exists():
            self._check_version()
        else:
            self._make(starting_lock)

    def _check_version(self) -> None:
        try:
            made_by = int((self.data / "PG_VERSION").read_text())
        except (FileNotFoundError, ValueError) as error:
            raise StartFailed(
                f"{self.data} is not a PostgreSQL data folder any more (PG_VERSION is missing or broken): restore it "
                "from a backup, or move it away to start with an empty database.",
                data=str(self.data),
            ) from error
        if made_by != self.binaries.major:
            raise ClusterVersionMismatch(
                f"The database in {self.data} was made by PostgreSQL {made_by}, and this is PostgreSQL "
                f"{self.binaries.major}: dump it with version {made_by} and restore it here (pg_dumpall, psql), "
                "or choose another data folder to start with an empty database.",
                made_by=made_by,
                binaries=self.binaries.major,
                data=str(self.data),
            )

    def _make(self, starting_lock: int) -> None:
        """Run initdb in a folder of its own, and rename the result: that is the moment in which the cluster exists."""
        work = Path(tempfile.mkdtemp(prefix="init-", dir=self.home))
        try:
            password_file = work / "password"
            password_file.write_text(self.password())
            if self.user:
                for path in (password_file, work):
                    os.chown(path, self.user.uid, self.user.gid)
            command = self._initdb_command(work / "data", password_file)
            answer = run_as(self.user, command, timeout_s=_INITDB_TIMEOUT_S, lock=starting_lock)
            if answer.returncode:
                raise self._init_failure(answer.stdout)
            (work / "data").rename(self.data)
            _sync_folder(self.home)
        except subprocess.TimeoutExpired as error:
            raise self._init_failure(f"no end after {_INITDB_TIMEOUT_S} s") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _initdb_command(self, data: Path, password_file: Path) -> list[str]:
        # Sorting is by code point everywhere, so that it never changes under an index with the system's C library;
        # letters beyond ASCII still have upper and lower case.
        if self.binaries.major >= _BUILTIN_LOCALES_SINCE:
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        else:
            locale = ["--locale=C", f"--lc-ctype={'UTF-8' if os.uname().sysname == 'Darwin' else 'C.UTF-8'}"]
        return [
            self.binaries.program("initdb"),
            f"--pgdata={data}",
            f"--username={OWNER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--data-checksums",
            "--no-instructions",
            *locale,
            *([] if self.durable else ["--no-sync"]),
        ]

    def _init_failure(self, said: str) -> EmbeddedPostgresError:
        if "No space left on device" in said:
            return disk_full(self.home)
        return InitFailed(
            f"A new database can't be made in {self.home}; PostgreSQL's initdb said: {_complaint(said)}",
            home=str(self.home),
            said=said,
        )

    def password(self) -> str:
        """Return the owner's password, made and kept before the cluster is, so that no cluster is without one.

        Raises:
            StartFailed: The cluster is there and its password is not.
        """
        kept = self.home / "password"
        if not kept.exists():
            if self.data.exists():
                raise StartFailed(
                    f"{kept} is missing, without which the database beside it can't be opened: put the file back.",
                    missing=str(kept),
                )
            _write_whole(kept, secrets.token_urlsafe(24))
        return kept.read_text()

    def port(self) -> int | None:
        """Return the port that the cluster was last started on."""
        try:
            return int((self.home / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def choose_port(self) -> int:
        """Return the port to start on: the one kept, or a new one, kept from now on, if another program has it."""
        port = self.port()
        if port is None or not is_free(port):
            port = next(free_ports())
            _write_whole(self.home / "port", str(port))
        return port

    def launch(self, running_lock: int) -> int:
        """Start the server and return its port; its processes hold the lock until the last of them is gone.

        It is no child of ours, because the shell between us ends at once, and it has a session of its own. So it can
        outlive us and be stopped by others, leaves no zombie, and a Ctrl-C at our terminal doesn't reach it while
        requests are still being answered.
        """
        port = self.choose_port()
        command = [self.binaries.program("postgres"), "-D", str(self.data)]
        for name, value in self._settings(port).items():
            command += ["-c", f"{name}={value}"]
        if self.log.exists():
            self.log.rename(self.log.with_suffix(".log.1"))
        with _open_new(self.log) as log:
            subprocess.run(
                ["/bin/sh", "-c", 'exec "$@" &', "sh", *command],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=clean_environment() | self._dead_postmaster(),
                umask=0o077,
                pass_fds=[running_lock],
                start_new_session=True,
                user=self.user.uid if self.user else None,
                group=self.user.gid if self.user else None,
                extra_groups=[] if self.user else None,
            )
        return port

    def postmaster_pid(self) -> int | None:
        """Return what the cluster's own lock file says; true only while the server answers."""
        try:
            return int((self.data / "postmaster.pid").read_text().split(maxsplit=1)[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None

    def _dead_postmaster(self) -> dict[str, str]:
        """Tell PostgreSQL that the process in a leftover lock file is not a server.

        After a restart of a container or machine its number may be another program's, before which PostgreSQL would
        stop. The variable is the one by which pg_ctl names itself; the check for shared memory in use stays on.
        """
        pid = self.postmaster_pid()
        return {} if pid is None else {"PG_GRANDPARENT_PID": str(pid)}

    def _settings(self, port: int) -> dict[str, str | int]:
        """Return what is set on the command line, so that it follows the code and not the day of initdb."""
        durable = "on" if self.durable else "off"
        return {
            "listen_addresses": HOST,
            "port": port,
            # A socket's path may be 107 bytes long at most, which a data folder's needn't be.
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "max_connections": self.max_connections,
            "fsync": durable,
            "synchronous_commit": durable,
            "full_page_writes": durable,
            # A throw-away cluster is one of several on a machine and holds little, like the smallest machine's.
            **sizes(look_at_machine(self.home) if self.durable else Machine(memory_bytes=0, disk_bytes=0)),
            # Parallel queries would need more of /dev/shm than containers have.
            "work_mem": "8MB",
            "max_parallel_workers_per_gather": 0,
            "jit": "off",
            # Making or dumping many tenants touches many tables in one transaction.
            "max_locks_per_transaction": 256,
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",
            # What the server does, not what its clients get wrong: they say that themselves, and statements and rows
            # in a log would be personal data.
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }

    def start_failure(self, said: str = "") -> EmbeddedPostgresError:
        """Return the error for a server that ended instead of starting, from what it or its log says."""
        said = said or (self.log.read_text(errors="replace") if self.log.exists() else "")
        if "No space left on device" in said:
            return disk_full(self.home)
        return StartFailed(
            f"The database in {self.data} does not start; PostgreSQL said: {_complaint(said)} (more in {self.log})",
            data=str(self.data),
            log=str(self.log),
        )


def _complaint(said: str) -> str:
    """Return the first line that names a failure with the one before, which often holds the reason; or the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["nothing"]
    failed = [n for n, line in enumerate(lines) if any(word in line for word in ("FATAL:", "PANIC:", "error:"))]
    return "; ".join(lines[max(failed[0] - 1, 0) : failed[0] + 1]) if failed else lines[-1]


def _write_whole(path: Path, text: str) -> None:
    """Write a small file that is there with its whole content or not at all, for us alone."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    with _open_new(partial) as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    if os.geteuid() == 0:
        # Root may be helping out in the data folder of another user, who must be able to read it afterwards.
        owner = path.parent.stat()
        os.chown(partial, owner.st_uid, owner.st_gid)
    partial.replace(path)
    _sync_folder(path.parent)


def _open_new(path: Path) -> BinaryIO:
    """Open a file that isn't there yet, for us alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
