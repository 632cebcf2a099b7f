"""What banks have sent, imported into books of its own: where the cash accounts stand, and whose the entries are."""

import asyncio

import pytest

from billfold.contract.statements import ImportedStatement, StatementImport
from billfold_server.keys.service import Keys
from billfold_server.reconciliation.commands import ImportedFile, table_of
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.shared_aliases import ALIASES
from tests.shared_files import shared_path
from tests.tenants import Tenancy

FILES = {
    "camt053_v2_five_decimals.xml": (1, 0),
    "camt053_v2_multi_statement.xml": (2, 0),
    "camt053_v4.xml": (1, 0),
    "mt940_abnamro.sta": (10, 0),
    "mt940_asnb.txt": (8, 1),
    "mt940_de_sepa_large.sta": (97, 5),
    "mt940_february_30.sta": (1, 1),
}
"""Every camt.053 and MT940 file, with how many entries it has, and how many of them are nobody's."""

DO_NOT_CLOSE = {
    "camt053_v2_five_decimals.xml": [0],
    "camt053_v4.xml": [0],
    "mt940_abnamro.sta": [0, 1],
}
"""The statements whose own arithmetic doesn't close, by their place in the file."""

ENOUGH_MINOR = 10**12
"""What each wallet holds before: these are statements of accounts in use, whose customers had money."""


async def take_in(tenancy: Tenancy, keys: Keys, name: str) -> StatementImport:
    """Import a shared file into a tenant of its own, whose wallets have the aliases."""
    data = shared_path("statements", name).read_bytes()
    desk = Desk(tenancy.database, keys, await tenancy.add(name.partition(".")[0]))
    await asyncio.gather(*(desk.add_wallet(*names, funds_minor=ENOUGH_MINOR) for names in ALIASES.values()))
    try:
        return await desk.take_in(data)
    finally:
        await desk.engine.close()


def leads_on(statements: list[ImportedStatement]) -> None:
    """Assert that each statement that closes moves its cash account exactly from its opening to its closing balance."""
    stood_at: dict[str, int] = {}
    for one in statements:
        before = stood_at.get(one.bank_account)
        assert one.cash_before_minor == (0 if before is None else before)
        if one.difference_minor == 0:
            assert before in {None, one.opening_balance_minor}
            assert one.cash_after_minor == one.closing_balance_minor
        stood_at[one.bank_account] = one.cash_after_minor


class TestASharedFile:
    """A shared file."""

    @pytest.mark.parametrize("name", FILES)
    async def test_moves_its_cash_accounts_as_it_says(self, tenancy: Tenancy, tenant_keys: Keys, name: str) -> None:
        """Where the arithmetic closes, the cash account goes from opening to closing; elsewhere a verdict says why."""
        done = await take_in(tenancy, tenant_keys, name)
        leads_on(done.statements)
        open_ends = [number for number, one in enumerate(done.statements) if one.difference_minor != 0]
        assert open_ends == DO_NOT_CLOSE.get(name, [])
        assert all(
            one.verdict.startswith("does not close: " if number in open_ends else "closes: ")
            for number, one in enumerate(done.statements)
        )
        entries, nobodys = FILES[name]
        assert sum(one.entries for one in done.statements) == entries
        assert sum(one.suspense for one in done.statements) == nobodys
        assert len(table_of([ImportedFile(name, done)]).rows) == len(done.statements)


class TestAllSharedFiles:
    """All shared files."""

    def test_find_nine_of_ten_wallets(self) -> None:
        """Of all their entries at least nine of ten are somebody's, file by file as imported above."""
        entries, nobodys = (sum(numbers) for numbers in zip(*FILES.values(), strict=True))
        assert 1 - nobodys / entries >= 0.9
        assert {path.name for path in shared_path("statements").glob("camt053*")} | {
            path.name for path in shared_path("statements").glob("mt940*")
        } == set(FILES)
