"""What can go wrong with the embedded database, each in one sentence that says how to mend it.

These never cross the wire: they meet whoever starts the server, at a terminal or in a log. So they stand beside the
problems of ``billfold.errors``, and share only the root with them.
"""

from typing import ClassVar

from billfold.errors import BillfoldError, Fact


class EmbeddedPostgresError(BillfoldError):
    """The embedded database can't be had.

    Attributes:
        code: Stable, machine-readable name of what happened.
        detail: The sentence for people: what is wrong, and what to do.
        facts: Details for programs, by name.
    """

    code: ClassVar[str] = "embedded_postgres"

    def __init__(self, detail: str, **facts: Fact) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class BinariesMissing(EmbeddedPostgresError):
    """The wheel that carries PostgreSQL isn't installed, or lacks the version asked for."""

    code = "postgres_binaries_missing"


class PlatformUnsupported(EmbeddedPostgresError):
    """There is no wheel for this system, or its programs don't run on it."""

    code = "postgres_platform_unsupported"


class NoUnprivilegedUser(EmbeddedPostgresError):
    """We are root, PostgreSQL refuses to be, and there is no other user to run it as."""

    code = "postgres_no_unprivileged_user"


class DataDirUnwritable(EmbeddedPostgresError):
    """The data folder can't be made or written to."""

    code = "postgres_data_dir_unwritable"


class DataDirUnreachable(EmbeddedPostgresError):
    """The user that PostgreSQL runs as may not enter a folder above the data."""

    code = "postgres_data_dir_unreachable"


class DiskFull(EmbeddedPostgresError):
    """No space is left, or a quota is used up."""

    code = "postgres_disk_full"


class ClusterVersionMismatch(EmbeddedPostgresError):
    """The data was written by another major version of PostgreSQL."""

    code = "postgres_version_mismatch"


class InitFailed(EmbeddedPostgresError):
    """A new database cluster couldn't be made."""

    code = "postgres_init_failed"


class StartFailed(EmbeddedPostgresError):
    """The server ended instead of starting."""

    code = "postgres_start_failed"


class StartTimedOut(EmbeddedPostgresError):
    """The server, or another process that is starting it, took too long."""

    code = "postgres_start_timed_out"


class StopTimedOut(EmbeddedPostgresError):
    """The server didn't end, not even at once when told to."""

    code = "postgres_stop_timed_out"


class NotStarted(EmbeddedPostgresError):
    """The server was asked for before it was started, or after it was stopped."""

    code = "postgres_not_started"
