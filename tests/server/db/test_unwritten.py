"""What PostgreSQL couldn't write: counted by reason, and logged now and then."""

import asyncpg
import pytest
import structlog

from billfold import errors
from billfold_server.db.unwritten import Unwritten
from tests.tenants import Tenancy


class TestATransaction:
    @pytest.mark.parametrize(
        ("sqlstate", "because"),
        [("53100", "disk_full"), ("53200", "exhausted"), ("58030", "io_error"), ("25006", "read_only")],
    )
    async def test_that_cannot_be_written_is_counted(self, tenancy: Tenancy, sqlstate: str, because: str):
        """Whether a statement fails or what is sent together with COMMIT, the caller may come again."""
        refused = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$"
        before = tenancy.database.unwritten.counts[because]
        with pytest.raises(errors.DatabaseUnavailable):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(refused)
        with pytest.raises(errors.DatabaseUnavailable):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                tx.end_with(refused)
        assert tenancy.database.unwritten.counts[because] == before + 2

    async def test_that_fails_otherwise_is_not(self, tenancy: Tenancy):
        """What is busy, or wrong, says nothing of the disk."""
        before = dict(tenancy.database.unwritten.counts)
        for sqlstate in ("55P03", "22012"):
            with pytest.raises((errors.Busy, asyncpg.DivisionByZeroError)):
                async with tenancy.database.tx(tenancy.tenant) as tx:
                    await tx.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$")
        assert dict(tenancy.database.unwritten.counts) == before


class TestTheLog:
    def test_says_it_once_a_minute_for_each_reason(self):
        """A full disk fails thousands of requests, and one line is enough to be woken by."""
        unwritten = Unwritten()
        with structlog.testing.capture_logs() as logs:
            for now_s in (0.0, 1.0, 59.0, 60.0, 61.0):
                unwritten.note(asyncpg.DiskFullError(), now_s)
            unwritten.note(asyncpg.OutOfMemoryError(), 61.0)
        told = [(each["event"], each["log_level"], each["because"]) for each in logs]
        full = ("database_cannot_write", "error", "disk_full")
        assert told == [full, full, ("database_cannot_write", "error", "exhausted")]
        assert unwritten.counts == {"disk_full": 5, "exhausted": 1}
