"""Statements that show what was ordered in a month that has left the ledger since."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from billfold import errors
from billfold.contract.statements import EntryOutcome, EntryReason
from billfold_server.keys.service import Keys
from tests.server.ledger.past import MARCH, past, tenancy_template
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import Entry, camt053
from tests.server.reconciliation.test_withdrawals import Statements
from tests.tenants import Tenancy

__all__ = ["tenancy_template"]

APRIL = datetime(2025, 4, 10, tzinfo=UTC)


class TestAnEntryOfADetachedMonthsOrder:
    @pytest.mark.parametrize("kind", ["withdrawal", "top_up"])
    async def test_waits_and_keeps_no_other_entry_out(
        self, tenancy: Tenancy, tenant_keys: Keys, tmp_path: Path, kind: str
    ) -> None:
        """What comes back of it can't be reversed any more, so staff says whose it is; its neighbours are booked."""
        books = await past(tenancy)
        await tenant_keys.forget_tenant(books.tenant)
        desk = Desk(books.bench.database, tenant_keys, books.tenant)
        await desk.engine.close()
        desk.engine = books.bench.engine
        wallet, way = books.bench.wallets[0], -1 if kind == "withdrawal" else 1
        await books.at(MARCH + timedelta(days=1))
        statements = Statements(desk)
        await desk.take_in(camt053(statements.plan))
        ordered = await (desk.withdraw if kind == "withdrawal" else desk.top_up)(wallet, 2_500)
        await statements.show(Entry(way * 2_500, end_to_end_id=ordered))
        await books.at(APRIL)
        await books.detach(date(2025, 4, 1), tmp_path)
        held = await desk.wallet_minor(wallet)
        await statements.show(Entry(-way * 2_500, end_to_end_id=ordered), Entry(300, name="Somebody"))
        entries = {each.amount_minor: each for each in (await desk.entries())[-2:]}
        back = entries[-way * 2_500]
        assert (back.outcome, back.reason) == (EntryOutcome.SUSPENSE, EntryReason.HISTORY_DETACHED)
        assert (entries[300].outcome, await desk.wallet_minor(wallet)) == (EntryOutcome.SUSPENSE, held)


class TestTakingBackADetachedMonthsImport:
    async def test_is_refused_by_its_first_entry(self, tenancy: Tenancy, tenant_keys: Keys, tmp_path: Path) -> None:
        """What it posted has left the ledger, so nothing of it can be undone any more."""
        books = await past(tenancy)
        await tenant_keys.forget_tenant(books.tenant)
        desk = Desk(books.bench.database, tenant_keys, books.tenant)
        await desk.engine.close()
        desk.engine = books.bench.engine
        await books.at(MARCH + timedelta(days=1))
        made = await desk.take_in(camt053(Statements(desk).plan))
        await books.at(APRIL)
        await books.detach(date(2025, 4, 1), tmp_path)
        (entry,) = await desk.entries()
        with pytest.raises(errors.StatementImportNotReversible) as caught:
            await desk.take_back(made.id)
        assert (caught.value.reason, caught.value.statement_entry_id) == ("history_detached", entry.id)
