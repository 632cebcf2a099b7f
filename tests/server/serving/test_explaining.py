"""What an exception means at a terminal."""

import errno

import asyncpg
import pytest

from billfold import errors
from billfold_server.db import embedded
from billfold_server.db.embedded import EmbeddedPostgresError
from billfold_server.db.unwritten import CANNOT_WRITE
from billfold_server.keys.service import BackupUnusable, KeyringUnusable
from billfold_server.serving.explaining import explain
from billfold_server.serving.failures import Exit, Failure
from billfold_server.settings import Mistake, SettingsInvalid
from billfold_server.tenancy.provisioning import DatabaseUnsuitable, KeyringDiffers

EMBEDDED = [
    each for each in vars(embedded).values() if isinstance(each, type) and issubclass(each, EmbeddedPostgresError)
]


class TestAnException:
    @pytest.mark.parametrize(
        ("error", "exit_code"),
        [
            (Failure("x", "X.", Exit.PORT), Exit.PORT),
            (SettingsInvalid([Mistake("port", "Wrong.")]), Exit.SETTINGS),
            (KeyringUnusable("It doesn't open."), Exit.SETTINGS),
            (DatabaseUnsuitable("Too old."), Exit.SETTINGS),
            (KeyringDiffers(), Exit.SETTINGS),
            (BackupUnusable("It was changed."), Exit.REFUSED),
            (FileNotFoundError(errno.ENOENT, "No such file or directory", "/none/keys"), Exit.DATA_DIR),
            (OSError(errno.ENOSPC, "No space left on device"), Exit.IO),
            (errors.DatabaseUnavailable("gone"), Exit.UNAVAILABLE),
            (errors.UnknownTenant("none"), Exit.REFUSED),
            (asyncpg.TooManyConnectionsError("full"), Exit.UNAVAILABLE),
            *((each("no"), Exit.UNAVAILABLE) for each in CANNOT_WRITE),
            (asyncpg.DiskFullError("full"), Exit.UNAVAILABLE),
        ],
    )
    def test_that_was_foreseen_has_an_exit_code(self, error: Exception, exit_code: Exit):
        """Alone or in a group, it means the same."""
        assert explain(error).exit_code is exit_code
        assert explain(ExceptionGroup("tasks", [ExceptionGroup("more", [error])])).exit_code is exit_code

    async def test_of_words_that_are_no_text_is_a_mistake_in_the_command_line(self, postgres_dsn: str):
        """A script that isn't written in UTF-8 hands on what nothing can keep."""
        connection = await asyncpg.connect(postgres_dsn)
        with pytest.raises(asyncpg.DataError) as refused:
            await connection.fetchval("SELECT $1::text", "Geb\udcfchr")
        with pytest.raises(asyncpg.DataError) as ours:
            await connection.fetchval("SELECT $1::text", 1)
        await connection.close()
        assert (explain(refused.value).exit_code, explain(ours.value).exit_code) == (Exit.USAGE, Exit.INTERNAL)

    @pytest.mark.parametrize("kind", [each for each in EMBEDDED if each is not EmbeddedPostgresError])
    def test_of_the_embedded_database_has_one_too(self, kind: type[EmbeddedPostgresError]):
        """Each of its kinds is known, and keeps its code and facts."""
        failure = explain(kind("It is so.", fact=1))
        assert (failure.code, failure.sentence, failure.facts) == (kind.code, "It is so.", {"fact": 1})
        assert failure.exit_code in set(Exit)

    def test_that_nobody_foresaw_is_a_mistake_of_ours(self):
        """It says how to see where it comes from."""
        failure = explain(ZeroDivisionError("division by zero"))
        assert (failure.code, failure.exit_code) == ("internal_error", Exit.INTERNAL)
        assert "BILLFOLD_DEBUG=1" in failure.sentence
