"""What is done before a month leaves the ledger, and what is still done to it afterwards."""

from datetime import date
from pathlib import Path

import pytest

from billfold_server.ledger.detaching import DetachRefusedError
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
