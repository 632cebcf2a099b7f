"""What is read of the entries of many statements where one of them is asked for."""

from typing import cast
from uuid import UUID

from billfold import ids
from billfold.ids import Prefix
from billfold_server.reconciliation.rows import OfJournalEntryRow
from billfold_server.reconciliation.stores import STORES
from billfold_server.tenancy.transaction import TenantTx
from tests.explaining import Explaining
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.test_withdrawals import named, payer
from tests.tenants import Tenancy

MANY = 20_000
COPIES = f"""
    INSERT INTO statement_entries
    SELECT (jsonb_populate_record(e, jsonb_build_object(
        'id', gen_random_uuid(), 'dedup_key', '\\x' || md5(n::text), 'journal_entry_id', gen_random_uuid(),
        'assigning_journal_entry_id', gen_random_uuid()))).*
    FROM statement_entries AS e, generate_series(1, {MANY}) AS n WHERE e.outcome = 'assigned'
"""  # noqa: S608 - constants


class TestWhatIsUndoneByHand:
    async def test_is_found_among_very_many(self, desk: Desk, tenancy: Tenancy) -> None:
        """Every withdrawal that the bank shows is assigned, and the ledger stands still while one of them is undone."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(named(withdrawal, -2_500))
        shown = (await desk.entries())[-1]
        await tenancy.as_owner(desk.tenant, COPIES, "ANALYZE statement_entries")
        key = ids.decode(Prefix.JOURNAL_ENTRY, str(shown.assigning_journal_entry_id))
        async with desk.database.tx(desk.tenant) as tx:
            brought: UUID = await tx.fetchval(
                "SELECT journal_entry_id FROM statement_entries WHERE assigning_journal_entry_id = $1", key
            )
            (store,) = (each for each in STORES if each.row_type is OfJournalEntryRow)
            explaining = Explaining(tx, ("statement_entries",))
            found = await store.load(cast("TenantTx", explaining), [key, brought])
        assert {ids.encode(Prefix.STATEMENT_ENTRY, each.statement_entry_id) for each in found.values()} == {shown.id}
        assert found.keys() == {key, brought}
        assert explaining.rows < 10
