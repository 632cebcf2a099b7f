"""What breaks an invariant, by the ids that the API knows."""

import asyncpg
import structlog

from billfold import ids
from billfold.ids import Prefix
from billfold_server.invariants.objects import OBJECTS
from billfold_server.invariants.queries import INVARIANTS
from billfold_server.invariants.service import Breach, check
from tests.server.ledger.books import Bench
from tests.server.ledger.conftest import bench
from tests.tenants import Tenancy

__all__ = ["bench"]


class TestWhatBreaksAnInvariant:
    def test_is_something_of_each(self) -> None:
        """Nobody has to guess what an id is of."""
        assert OBJECTS.keys() == INVARIANTS.keys()

    async def test_can_be_looked_up(self, bench: Bench, tenancy: Tenancy) -> None:
        """It is told, and logged, by the ids that the API and the commands take, also where it tells of others."""
        await bench.top_up(0, 500)
        tenant = bench.tenant
        connection = await asyncpg.connect(tenancy.admin_dsn)
        try:
            await connection.execute(f"SET search_path TO {tenant.schema}")
            moved = await connection.fetchval("SELECT id FROM transfers")
            wallet = await connection.fetchval("SELECT to_wallet_id FROM transfers")
            account = await connection.fetchval("SELECT id FROM accounts WHERE wallet_id = $1", wallet)
            await connection.execute("UPDATE transfers SET amount_minor = 499")
            await connection.execute("UPDATE accounts SET held_minor = 1 WHERE id = $1", account)
            await connection.execute("UPDATE wallets SET created_at = created_at + interval '1 day'")
        finally:
            await connection.close()
        with structlog.testing.capture_logs() as lines:
            breaches = {each.invariant: each for each in await check(bench.database, tenant)}
        top_up, wal, acc = (
            ids.encode(prefix, id_)
            for prefix, id_ in ((Prefix.TOP_UP, moved), (Prefix.WALLET, wallet), (Prefix.ACCOUNT, account))
        )
        assert breaches["transfers_are_posted_to_their_wallets"].object == top_up
        assert breaches["held_equals_open_holds"].object == acc
        assert breaches["accounts_are_no_older_than_their_wallets"] == Breach(
            invariant="accounts_are_no_older_than_their_wallets",
            object=acc,
            fact=f"it was opened before wallet {wal}, whose it is",
        )
        assert {each["object"] for each in lines} >= {top_up, acc}
