"""What makes a database unfit to carry a server, and what it says of itself."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import anyio
import msgspec
import pytest

from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.db.embedded.locks import is_locked
from billfold_server.serving import database
from billfold_server.serving.database import (
    Facts,
    embedded_for,
    find_database,
    follow_embedded,
    look,
    needed_connections,
    reached,
    unfit,
    why_unwritten,
)
from billfold_server.serving.failures import Exit, Failure
from billfold_server.settings import Secret, Settings
from tests.postgres import own_data_dir, remove

FACTS = database._FACTS
NOW = datetime(2026, 11, 20, tzinfo=UTC)
FIT = Facts(
    major=16,
    version="16.0",
    max_connections=100,
    reserved=3,
    role_limit=-1,
    role="app",
    database="billfold",
    creates_roles=False,
    owns_database=False,
    fsync=True,
    full_page_writes=True,
    synchronous_commit=True,
    buffers_bytes=128 * 1024**2,
    most_wal_bytes=1024**3,
    log_statement="none",
    log_min_duration_statement="-1",
    log_min_error_statement="panic",
    log_error_verbosity="terse",
    encoding="UTF8",
    standby=False,
    now=NOW,
    asked_at=NOW,
)


class TestADatabase:
    def test_that_is_recent_and_large_enough_is_fit(self):
        """PostgreSQL 16 with its default settings carries one worker."""
        assert unfit(FIT, Settings()) is None

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"major": 15, "version": "15.9"}, "database_too_old"),
            ({"standby": True}, "database_read_only"),
            ({"encoding": "SQL_ASCII"}, "database_encoding"),
            ({"max_connections": 27}, "too_few_connections"),
            ({"role_limit": 24}, "too_few_connections"),
        ],
    )
    def test_that_is_unfit_is_told_why(self, changes: dict[str, object], code: str):
        """Each reason has a code of its own, in one sentence, and is a matter of settings."""
        failure = unfit(msgspec.structs.replace(FIT, **changes), Settings())
        assert failure is not None
        assert (failure.code, failure.exit_code) == (code, Exit.SETTINGS)
        assert failure.sentence.endswith(".")
        assert "\n" not in failure.sentence

    def test_is_asked_for_as_many_connections_as_all_workers_may_want(self):
        """Four workers with twenty each want more than eighty, with what the parent needs."""
        assert needed_connections(Settings(workers=4)) - 4 * 20 == needed_connections(Settings()) - 20 > 0

    @pytest.mark.parametrize(("workers", "connections"), [(1, 120), (2, 120), (8, 30), (100, 20)])
    def test_that_is_embedded_has_room_for_many_tenants(self, tmp_path: Path, workers: int, connections: int):
        """Each worker may hold many connections, all of them together not too many, and what it is told where it is."""
        settings, _ = embedded_for(Settings(workers=workers, data_dir=str(tmp_path)))
        assert settings.database_connections == connections
        chosen, _ = embedded_for(Settings(workers=workers, data_dir=str(tmp_path), database_connections=7))
        assert chosen.database_connections == 7

    async def test_says_what_it_is(self, database: str):
        """The facts of a real one, which tests run without durability."""
        facts = await look(Secret(database))
        assert facts.major in {16, 18}
        assert facts.version.startswith(str(facts.major))
        assert (facts.creates_roles, facts.owns_database, facts.fsync, facts.encoding) == (True, True, False, "UTF8")
        assert 0 < facts.usable_connections <= facts.max_connections
        assert abs(facts.skew_s) < 1

    async def test_has_no_wrong_clock_for_standing_still(self, database: str, monkeypatch: pytest.MonkeyPatch):
        """However long it takes to say what its clock says, it isn't ahead or behind for that."""
        monkeypatch.setattr(
            "billfold_server.serving.database._FACTS", f"{FACTS} AND (SELECT pg_sleep(0.3)) IS NOT NULL"
        )
        assert (await look(Secret(database))).skew_s == 0

    async def test_that_stops_answering_is_said_to_be_away(self, database: str):
        """What it was asked is no mistake of ours then."""
        with pytest.raises(Failure) as caught:
            async with reached(Secret(database)) as connection:
                await connection.fetchval("SELECT pg_sleep(60)", timeout=0.05)
        assert (caught.value.code, caught.value.exit_code) == ("database_unreachable", Exit.UNAVAILABLE)

    async def test_that_ends_in_a_transaction_is_said_to_be_away(self, database: str):
        """Though the driver complains of how the transaction ends."""
        with pytest.raises(Failure) as caught:
            async with reached(Secret(database)) as connection, connection.transaction():
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        assert (caught.value.code, caught.value.exit_code) == ("database_unreachable", Exit.UNAVAILABLE)

    async def test_is_tried_for_whether_it_can_write(self, database: str):
        """What is written for that is gone afterwards, and where it can't be PostgreSQL says why."""
        assert await why_unwritten(Secret(database)) is None
        options = urlencode({"options": "-c default_transaction_read_only=on"}, quote_via=quote)
        told = await why_unwritten(Secret(f"{database}{'&' if '?' in database else '?'}{options}"))
        assert told is not None
        assert "read-only transaction" in told

    def test_is_followed_to_another_port(self):
        """The server's own login stays, and so does the database's name."""
        before = Settings(database_url=Secret("postgresql://app:pw@127.0.0.1:20001/billfold?sslmode=disable"))
        admin = Secret("postgresql://billfold:x@127.0.0.1:20002/billfold?sslmode=disable")
        after = follow_embedded(before, admin)
        assert after.database_url == Secret("postgresql://app:pw@127.0.0.1:20002/billfold?sslmode=disable")
        assert after.admin_database_url == admin
        for keys, then in [
            (
                "postgresql://keys:pw@127.0.0.1:20001/billfold_keys",
                "postgresql://keys:pw@127.0.0.1:20002/billfold_keys",
            ),
            ("postgresql://keys:pw@db.internal/keys", "postgresql://keys:pw@db.internal/keys"),
        ]:
            elsewhere = msgspec.structs.replace(before, key_store_url=Secret(keys))
            assert follow_embedded(elsewhere, admin).key_store_url == Secret(then)


class TestAnEmbeddedDatabase:
    @pytest.mark.parametrize("after_s", [0.1, None], ids=["while it starts", "while the application is loaded"])
    async def test_is_not_left_running_by_who_is_ended_early(
        self, monkeypatch: pytest.MonkeyPatch, after_s: float | None
    ):
        """A program that embeds the platform may be ended by Ctrl-C, whereupon anyio breaks off each wait anew."""
        folder, started, loop = own_data_dir(), EmbeddedPostgres.start, asyncio.get_running_loop()

        def start(embedded: EmbeddedPostgres) -> str:
            dsn = started(embedded)
            loop.call_soon_threadsafe(scope.cancel)
            return dsn

        async def load() -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(database, "_load", load)
        with anyio.CancelScope() as scope:
            if after_s is None:
                monkeypatch.setattr(EmbeddedPostgres, "start", start)
            else:
                loop.call_later(after_s, scope.cancel)
            async with find_database(Settings(data_dir=str(folder))):
                pytest.fail("it was to be ended before")
        try:
            assert not is_locked(folder / "postgres" / "running")
        finally:
            await asyncio.to_thread(remove, folder)
