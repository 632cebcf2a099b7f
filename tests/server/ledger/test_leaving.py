"""What is done before a month leaves the ledger, and what is still done to it afterwards."""

from datetime import date
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from asyncpg import UndefinedTableError

from billfold import ids
from billfold.contract.wallets import CreateTransfer
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.db.personal import Erasing, Subject
from billfold_server.ledger.archives import verify_archives
from billfold_server.ledger.detaching import DetachRefusedError
from billfold_server.ledger.subjects import SUBJECTS
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.tenancy.service import bounds
from billfold_server.wallets import kinds
from tests.server.ledger.giving import accepted
from tests.server.ledger.past import JANUARY, past, tenancy_template
from tests.tenants import Tenancy

__all__ = ["tenancy_template"]


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

    @pytest.mark.parametrize("by", ["this version", "a version before"])
    async def test_loses_what_people_wrote_who_are_forgotten(self, tenancy: Tenancy, by: str) -> None:
        """Where it stays in the database, text goes with its salt there, too; the server erases what it can't read."""
        books = await past(tenancy)
        sender, receiver, _ = books.bench.wallets
        rent = Money(5, "EUR")
        body = CreateTransfer(from_wallet_id=sender, to_wallet_id=receiver, amount=rent, description="Rent, for Ada")
        accepted(await books.bench.submit(kinds.TRANSFER, kinds.transfer(body)))
        await books.detach(date(2025, 4, 1))
        if by == "a version before":
            tables = "journal_entries_2025_03, postings_2025_03"
            await tenancy.as_owner(books.tenant, f"REVOKE ALL ON {tables} FROM {books.tenant.runtime_role}")
            await tenancy.tenants.partition(books.tenant.slug)
        subject = Subject(party_id=UUID(int=1), wallet_ids=[ids.decode(Prefix.WALLET, sender)])
        now = books.clock.now()
        async with books.bench.database.tx(books.tenant) as tx:
            assert SUBJECTS.erase is not None
            erasing = Erasing(subject=subject, caller=COMMAND_LINE, reason="asked", now=now, real_now=now)
            assert (await SUBJECTS.erase(tx, erasing))["journal_entries"] == 1
        connection = await asyncpg.connect(tenancy.admin_dsn)
        table = f"{books.tenant.schema}.journal_entries_2025_03"
        left = await connection.fetch(f"SELECT description, text_salt FROM {table} WHERE text_commitment IS NOT NULL")  # noqa: S608
        await connection.close()
        assert [tuple(row) for row in left] == [(None, None)]
