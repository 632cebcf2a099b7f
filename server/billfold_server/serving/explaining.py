"""From an exception of any room to the one sentence and exit code that it means at a terminal."""

import errno
import functools
from collections.abc import Iterator
from typing import Final

import asyncpg

from billfold import errors
from billfold_server.db.embedded import errors as embedded
from billfold_server.keys.service import BackupUnreadable, BackupUnusable, KeyringUnusable, KeyStoreUnsuitable
from billfold_server.serving.failures import Exit, Failure, too_many_connections
from billfold_server.settings import SettingsInvalid
from billfold_server.tenancy.provisioning import DatabaseUnsuitable, KeyringDiffers

__all__ = ["explain"]

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

_OF_FILES: Final = frozenset(
    {
        errno.EACCES,
        errno.EBUSY,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
"""What is wrong with files that people name, and nothing that we could do better."""


_OF_OUTPUT: Final = frozenset({errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC})
"""And what is wrong with where output goes, which has no name."""


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
def _(error: KeyStoreUnsuitable) -> Failure:
    return Failure("key_store_unsuitable", str(error), Exit.SETTINGS)


@_foreseen.register
def _(error: BackupUnusable) -> Failure:
    return Failure("backup_unusable", str(error), Exit.REFUSED)


@_foreseen.register
def _(error: BackupUnreadable) -> Failure:
    return Failure("backup_unreadable", str(error), Exit.UNAVAILABLE)


@_foreseen.register
def _(error: DatabaseUnsuitable) -> Failure:
    return Failure("database_unsuitable", str(error), Exit.SETTINGS)


@_foreseen.register
def _(error: KeyringDiffers) -> Failure:
    return Failure("keyring_differs", str(error), Exit.SETTINGS)


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
def _(error: errors.TenantUnreadable) -> Failure:
    sentence = f"{error.title}: {error.detail}. billfold doctor says what helps."
    return Failure(error.code, sentence, Exit.UNAVAILABLE, **error.facts)


@_foreseen.register
def _(_: asyncpg.TooManyConnectionsError) -> Failure:
    return too_many_connections()


@_foreseen.register(asyncpg.InsufficientResourcesError)
@_foreseen.register(asyncpg.ReadOnlySQLTransactionError)
@_foreseen.register(asyncpg.PostgresIOError)
def _(error: asyncpg.PostgresError) -> Failure:
    said = str(error).partition("\n")[0]
    sentence = f"PostgreSQL can't write ({said}): see billfold doctor, and whether it is the server that takes changes."
    return Failure("database_unwritable", sentence, Exit.UNAVAILABLE)


@_foreseen.register
def _(error: asyncpg.DataError) -> Failure | None:
    if not isinstance(error.__cause__, UnicodeEncodeError):
        return None
    return Failure("text_unusable", "What was typed isn't text in UTF-8: write it in that, or in ASCII.", Exit.USAGE)


@_foreseen.register
def _(error: OSError) -> Failure | None:
    if error.filename is None and error.errno in _OF_OUTPUT:
        return Failure("io_failed", f"What was to be written can't be ({error.strerror}).", Exit.IO)
    if error.filename is None or error.errno not in _OF_FILES:
        return None
    return Failure(
        "file_unusable", f"{error.filename} can't be used ({error.strerror}): name another file.", Exit.DATA_DIR
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, or those inside it where it is a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
