"""What is done before a month leaves the ledger, and what is still done to it afterwards."""

from datetime import date
from pathlib import Path

import pytest
from asyncpg import UndefinedTableError

from billfold_server.ledger.archives import verify_archives
from billfold_server.ledger.detaching import DetachRefusedError
from billfold_server.tenancy.service import bounds
from tests.server.ledger.test_detaching import JANUARY, past
from tests.tenants import Tenancy


def _names(folder: Path) -> list[str]:
    """Return the names of the files that lie in a folder."""
    return sorted(file.name for file in folder.iterdir())


class TestAMonthThatLeaves:
    """A month that leaves the ledger."""

    async def test_leaves_once_its_account_statements_are_made(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """What nobody has come to state would never be stated; it stays where its month isn't over for the tenant."""
        books = await past(tenancy)
        set_clock = "UPDATE tenant_clock SET frozen_at = '{}'"
        await tenancy.as_owner(books.tenant, set_clock.format(JANUARY.isoformat()))
        with pytest.raises(DetachRefusedError) as caught:
            await books.detach(date(2025, 2, 1), tmp_path, stated=True)
        assert (caught.value.reason, _names(tmp_path)) == ("statements", [])
        await tenancy.as_owner(books.tenant, set_clock.format(books.clock.now().isoformat()))
        assert [each.month for each in await books.detach(date(2025, 2, 1), tmp_path, stated=True)] == ["2025-01"]
        async with books.bench.database.tx(books.tenant) as tx:
            months = await tx.fetch("SELECT DISTINCT starts_at FROM account_statements ORDER BY starts_at")
        assert [row["starts_at"].month for row in months] == [1, 2]
        assert await books.ok()

    async def test_has_no_file_where_nothing_was_posted(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Months are made ahead, so there are such; a file of nothing would be taken for a damaged one."""
        books = await past(tenancy)
        first, after = bounds(date(2024, 12, 1))
        tables = ("journal_entries", "postings")
        made = "CREATE TABLE {}_2024_12 PARTITION OF {} FOR VALUES FROM ('{}') TO ('{}')"
        await tenancy.as_owner(books.tenant, *(made.format(table, table, first, after) for table in tables))
        empty, _ = await books.detach(date(2025, 2, 1), tmp_path)
        assert (empty.month, empty.journal_entries, empty.checkpoint, empty.archive) == ("2024-12", 0, None, None)
        assert _names(tmp_path) == ["oldbank-2025-01.jsonl"]
        looked = await verify_archives(books.bench.database, books.tenant, [tmp_path / "oldbank-2025-01.jsonl"])
        assert [each.ok for each in looked.values()] == [True]
        with pytest.raises(UndefinedTableError):
            await tenancy.as_owner(books.tenant, "SELECT entry_id FROM postings_2024_12")
