"""What a command ends with when it can't do its work: one sentence that says what to do, and an exit code.

The codes are those of BSD's ``sysexits.h``, so that a supervisor (systemd's ``RestartPreventExitStatus=``) can tell
what waiting may mend from what a person must change. The foreseeable never ends in a traceback.
"""

import enum
import functools
from collections.abc import Iterator

import asyncpg

from billfold import errors
from billfold_server.db.embedded import errors as embedded
from billfold_server.keys.service import KeyringUnusable
from billfold_server.settings import SettingsInvalid
from billfold_server.tenancy.provisioning import DatabaseUnsuitable

__all__ = ["Exit", "Failure", "explain"]


class Exit(enum.IntEnum):
    """With what a command exits."""

    OK = 0
    REFUSED = 1
    """The command was understood and refused: no such tenant, a check that failed."""
    USAGE = 2
    """The command line is wrong; click says how."""
    BAD_DATA = 65
    """Data can't be read: made by another major version of PostgreSQL, or damaged."""
    UNAVAILABLE = 69
    """Something that is needed is away: the database, an extra that isn't installed."""
    INTERNAL = 70
    """A mistake of ours; BILLFOLD_DEBUG=1 shows where."""
    PORT = 71
    """The address can't be listened on."""
    DATA_DIR = 73
    """The data folder can't be made or written to, or its disk is full."""
    TRY_AGAIN = 75
    """Another process is in the way, and may be gone soon: a second server on one data folder."""
    NOT_ALLOWED = 77
    """The operating system or the database refuses for lack of a right."""
    SETTINGS = 78
    """A setting is wrong, or doesn't fit the database."""


class Failure(Exception):
    """A command can't go on.

    Attributes:
        code: Stable, machine-readable name of what happened.
        sentence: What is wrong and what to do, for people.
        exit_code: With what the process ends.
        facts: Details for programs, by name.
    """

    def __init__(self, code: str, sentence: str, exit_code: Exit, **facts: errors.Fact) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.exit_code = exit_code
        self.facts = facts

    def document(self) -> dict[str, object]:
        """Return it as ``--json`` shows it."""
        return {"code": self.code, "detail": self.sentence, "exit_code": int(self.exit_code), "facts": self.facts}


_OF_EMBEDDED: dict[type[embedded.EmbeddedPostgresError], Exit] = {
    embedded.BinariesMissing: Exit.UNAVAILABLE,
    embedded.PlatformUnsupported: Exit.UNAVAILABLE,
    embedded.NoUnprivilegedUser: Exit.NOT_ALLOWED,
    embedded.DataDirUnwritable: Exit.DATA_DIR,
    embedded.DataDirUnreachable: Exit.DATA_DIR,
    embedded.DiskFull: Exit.DATA_DIR,
    embedded.ClusterVersionMismatch: Exit.BAD_DATA,
    embedded.InitFailed: Exit.UNAVAILABLE,
    embedded.StartFailed: Exit.BAD_DATA,
    embedded.StartTimedOut: Exit.TRY_AGAIN,
    embedded.StopTimedOut: Exit.TRY_AGAIN,
    embedded.NotStarted: Exit.INTERNAL,
}


def explain(error: BaseException) -> Failure:
    """Return the failure that an exception means; one that nobody foresaw is a mistake of ours."""
    for each in _leaves(error):
        if (failure := _foreseen(each)) is not None:
            return failure
    return Failure(
        "internal_error",
        f"Billfold made a mistake ({type(error).__name__}: {error}); "
        "run it again with BILLFOLD_DEBUG=1 and report what it shows.",
        Exit.INTERNAL,
    )


@functools.singledispatch
def _foreseen(error: BaseException) -> Failure | None:
    """Return the failure that an exception of a kind that we know means."""
    return error if isinstance(error, Failure) else None


@_foreseen.register
def _(error: SettingsInvalid) -> Failure:
    sentences = "\n".join(mistake.sentence for mistake in error.mistakes)
    keys = ", ".join(mistake.key for mistake in error.mistakes)
    return Failure("settings_invalid", sentences, Exit.SETTINGS, keys=keys)


@_foreseen.register
def _(error: KeyringUnusable) -> Failure:
    return Failure("keyring_unusable", str(error), Exit.SETTINGS)


@_foreseen.register
def _(error: DatabaseUnsuitable) -> Failure:
    return Failure("database_unsuitable", str(error), Exit.SETTINGS)


@_foreseen.register
def _(error: embedded.EmbeddedPostgresError) -> Failure:
    return Failure(error.code, error.detail, _OF_EMBEDDED[type(error)], **error.facts)


@_foreseen.register
def _(error: errors.ProblemError) -> Failure:
    return Failure(error.code, f"{error.title}: {error.detail}.", Exit.REFUSED, **error.facts)


@_foreseen.register
def _(error: errors.Unavailable) -> Failure:
    sentence = f"{error.title}: {error.detail}; try again, and see billfold doctor if it stays so."
    return Failure(error.code, sentence, Exit.UNAVAILABLE, **error.facts)


@_foreseen.register
def _(_: asyncpg.TooManyConnectionsError) -> Failure:
    return too_many_connections()


def too_many_connections() -> Failure:
    """Return the failure of a database whose connections are all taken."""
    return Failure(
        "database_full",
        "The database accepts no further connection: end some of its clients, or raise its max_connections.",
        Exit.UNAVAILABLE,
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, or those inside it where it is a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
