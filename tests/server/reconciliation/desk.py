"""What tests of statement imports share: an engine on a real database, wallets with aliases, and files to import."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.ledger import (
    AccountType,
    CreateAccount,
    CreateJournalEntry,
    NewPosting,
    ReverseJournalEntry,
    UpdateAccount,
)
from billfold.contract.statements import EntryOutcome, StatementEntry, StatementImport
from billfold.contract.wallets import (
    AliasScheme,
    ChangeWalletStatus,
    CreateAlias,
    CreateTopUp,
    CreateWallet,
    CreateWithdrawal,
)
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.http.routing import IdempotencyRef
from billfold_server.invariants.service import check
from billfold_server.keys.service import Keys
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger.protocol import Answer, Kind
from billfold_server.ledger.service import list_wallet_accounts
from billfold_server.reconciliation import service
from billfold_server.reconciliation.rules import cash_code
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database
from billfold_server.wallets import kinds
from billfold_server.wallets.rows import AliasKey
from billfold_server.wallets.rules import new_alias
from tests.parties import add_party
from tests.server.ledger.books import CALLER, open_engine

SECRET = b"a tenant's secret of the tests"


class Desk:
    """Where a tenant's bank statements come in."""

    def __init__(self, database: Database, keys: Keys, tenant: TenantRef) -> None:
        self.database = database
        self.keys = keys
        self.tenant = tenant
        self.engine = open_engine(database)

    async def submit(self, kind: Kind[Any], body: object) -> Any:
        """Give a command, and return what it answers or raise what refuses it."""
        answer = await self.engine.submit(self.tenant, CALLER, kind, body)
        if answer.error is not None:
            raise answer.error
        return msgspec.json.decode(answer.body)

    async def give(self, data: bytes, key: str | None = None) -> Answer:
        """Import a file as a request does."""
        file = await service.prepare_file(self.database, self.keys, self.tenant, data, secret=SECRET)
        reference = IdempotencyRef(client_id=CALLER.client_id, key=key, fingerprint=bytes(32)) if key else None
        return await self.engine.submit(self.tenant, CALLER, service.IMPORT_STATEMENTS, file, reference)

    async def take_in(self, data: bytes) -> StatementImport:
        """Import a file, see that every invariant of the books holds, and return what was done."""
        answer = await self.give(data)
        if answer.error is not None:
            raise answer.error
        assert await check(self.database, self.tenant) == []
        return msgspec.json.decode(answer.body, type=StatementImport)

    async def add_wallet(self, *aliases: tuple[AliasScheme, str], funds_minor: int = 0, currency: str = "EUR") -> str:
        """Open a wallet with aliases and, where wanted, money."""
        async with self.database.tx(self.tenant) as tx:
            party_id = ids.encode(Prefix.PARTY, await add_party(tx))
        wallet_id: str = (await self.submit(kinds.CREATE_WALLET, CreateWallet(party_id=party_id)))["id"]
        await asyncio.gather(*(self.add_alias(wallet_id, scheme, value) for scheme, value in aliases))
        if funds_minor:
            order = CreateTopUp(wallet_id=wallet_id, amount=Money(funds_minor, currency))
            await self.submit(kinds.TOP_UP, kinds.top_up(order))
        return wallet_id

    async def withdraw(self, wallet_id: str, amount_minor: int, currency: str = "EUR", **facts: Any) -> str:
        """Withdraw money from a wallet, as a client orders it."""
        order = CreateWithdrawal(wallet_id=wallet_id, amount=Money(amount_minor, currency), **facts)
        withdrawal_id: str = (await self.submit(kinds.WITHDRAW, kinds.withdrawal(order)))["id"]
        return withdrawal_id

    async def top_up(self, wallet_id: str, amount_minor: int, **facts: Any) -> str:
        """Top a wallet up, as a client orders it."""
        order = CreateTopUp(wallet_id=wallet_id, amount=Money(amount_minor, "EUR"), **facts)
        top_up_id: str = (await self.submit(kinds.TOP_UP, kinds.top_up(order)))["id"]
        return top_up_id

    async def reverse(self, withdrawal_id: str, amount_minor: int | None = None) -> None:
        """Give a withdrawal back to its wallet, or take a top-up back, as staff does."""
        order = ReverseJournalEntry(amount_minor=amount_minor, reason="by hand")
        kind = "withdrawal" if withdrawal_id.startswith(Prefix.WITHDRAWAL) else "top_up"
        key = ids.decode(Prefix.WITHDRAWAL if kind == "withdrawal" else Prefix.TOP_UP, withdrawal_id)
        await self.submit(kinds.REVERSE_TRANSFER, kinds.TransferReversal(kind, key, order))

    async def add_account(self, code: str, type_: AccountType = AccountType.EXPENSE, **facts: Any) -> str:
        """Open an account of the general ledger, in euros unless it is told otherwise."""
        order = CreateAccount(code=code, type=type_, **{"currency": "EUR", **facts})
        account_id: str = (await self.submit(ledger_kinds.CREATE_ACCOUNT, order))["id"]
        return account_id

    async def account_id(self, code: str) -> str:
        """Return the id of an account of the chart."""
        async with self.database.tx(self.tenant) as tx:
            return ids.encode(Prefix.ACCOUNT, await tx.fetchval("SELECT id FROM accounts WHERE code = $1", code))

    async def post(self, from_code: str, to_id: str, amount_minor: int) -> None:
        """Move money by hand from an asset account of the chart to another one."""
        credit = NewPosting(account_id=await self.account_id(from_code), amount_minor=-amount_minor, currency="EUR")
        debit = NewPosting(account_id=to_id, amount_minor=amount_minor, currency="EUR")
        await self.submit(ledger_kinds.POST_JOURNAL_ENTRY, CreateJournalEntry(postings=[debit, credit]))

    async def limit(self, code: str, overdraft_limit_minor: int | None) -> None:
        """Give an account of the chart an overdraft limit of its own, or take it away."""
        change = UpdateAccount(overdraft_limit_minor=overdraft_limit_minor)
        key = ids.decode(Prefix.ACCOUNT, await self.account_id(code))
        await self.submit(ledger_kinds.UPDATE_ACCOUNT, ledger_kinds.Update(key, change, None))

    async def add_alias(self, wallet_id: str, scheme: AliasScheme, value: str) -> None:
        """Give a wallet another name."""
        key = AliasKey(scheme, new_alias(scheme, value))
        alias = kinds.NewAlias(ids.decode(Prefix.WALLET, wallet_id), CreateAlias(scheme=scheme, value=value), key)
        await self.submit(kinds.ADD_ALIAS, alias)

    async def change(self, wallet_id: str, step: Any) -> None:
        """Freeze, unfreeze or close a wallet."""
        reason = ChangeWalletStatus(reason="test").reason
        await self.submit(kinds.CHANGE_STATUS, kinds.StatusChange(ids.decode(Prefix.WALLET, wallet_id), step, reason))

    async def assign(self, entry_id: str, to: str) -> StatementEntry:
        """Move an entry from suspense to where it belongs: a wallet, an account, or a withdrawal that it shows."""
        entry = await service.open_answer(self.keys, self.tenant, await self.assigned(entry_id, to))
        assert await check(self.database, self.tenant) == []
        return entry

    async def assigned(self, entry_id: str, to: str) -> bytes:
        """Move an entry from suspense to where it belongs, and return the answer as it is kept."""
        order = service.Assignment(
            ids.decode(Prefix.STATEMENT_ENTRY, entry_id),
            _id(Prefix.WALLET, to),
            account_id=_id(Prefix.ACCOUNT, to),
            withdrawal_id=_id(Prefix.WITHDRAWAL, to),
            top_up_id=_id(Prefix.TOP_UP, to),
        )
        order = await service.prepare_assignment(self.database, self.keys, self.tenant, order)
        answer = await self.engine.submit(self.tenant, CALLER, service.ASSIGN_ENTRY, order)
        if answer.error is not None:
            raise answer.error
        return answer.body

    async def undo(self, journal_entry_id: str | None, amount_minor: int | None = None) -> None:
        """Reverse a journal entry by hand, whole or in part."""
        order = ReverseJournalEntry(amount_minor=amount_minor, reason="by hand")
        entry_id = ids.decode(Prefix.JOURNAL_ENTRY, str(journal_entry_id))
        await self.submit(ledger_kinds.REVERSE_JOURNAL_ENTRY, ledger_kinds.Reversal(entry_id, order))

    async def take_back(self, import_id: str) -> StatementImport:
        """Take an import back as a whole, see that every invariant of the books holds, and return what it is then."""
        key = ids.decode(Prefix.STATEMENT_IMPORT, import_id)
        answer = await service.reverse_import(self.engine, self.tenant, key, caller=CALLER, reason="wrong file")
        if answer.error is not None:
            raise answer.error
        assert await check(self.database, self.tenant) == []
        return msgspec.json.decode(answer.body, type=StatementImport)

    # What is in the books.

    async def newest(self) -> StatementImport:
        """Return the newest import."""
        async with self.database.tx(self.tenant) as tx:
            (found,) = await service.list_imports(tx, limit=1, before=None)
        return found

    async def entries(self, outcome: EntryOutcome | None = None) -> list[StatementEntry]:
        """Return the statement entries, oldest first."""
        async with self.database.tx(self.tenant) as tx:
            found = await service.list_entries(tx, limit=10_000, before=None, import_id=None, outcome=outcome)
        return (await service.open_entries(self.keys, self.tenant, found))[::-1]

    async def wallet_minor(self, wallet_id: str, currency: str = "EUR") -> int:
        """Return a wallet's balance."""
        key = ids.decode(Prefix.WALLET, wallet_id)
        async with self.database.tx(self.tenant) as tx:
            accounts = (await list_wallet_accounts(tx, [key]))[key]
        return sum(account.balance_minor for account in accounts if account.currency == currency)

    async def account_minor(self, code: str, currency: str = "EUR", *, at: datetime | None = None) -> int:
        """Return the balance of an account of the chart on its debit side, now or as of an effective time."""
        async with self.database.tx(self.tenant) as tx:
            rows = await tx.fetch(
                """
                SELECT coalesce(sum(p.amount_minor), 0)::bigint AS total
                FROM accounts AS a JOIN postings AS p ON p.account_id = a.id
                WHERE a.code = $1 AND a.currency = $2 AND p.effective_at <= $3
                """,
                code,
                currency,
                at or datetime(9999, 1, 1, tzinfo=UTC),
            )
        return int(rows[0]["total"])

    async def cash_minor(self, bank_account: str, currency: str = "EUR", *, at: datetime | None = None) -> int:
        """Return the balance of a bank account's cash account."""
        return await self.account_minor(cash_code(bank_account), currency, at=at)

    async def counts(self) -> dict[str, int]:
        """Return how many rows each table of the tenant holds."""
        async with self.database.tx(self.tenant) as tx:
            names = await tx.fetch(
                "SELECT c.relname FROM pg_catalog.pg_class AS c "
                "WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') "
                "AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1",
                self.tenant.schema,
            )
            return {
                row["relname"]: int(await tx.fetchval(f'SELECT count(*) FROM "{row["relname"]}"'))  # noqa: S608
                for row in names
            }


def _id(prefix: Prefix, wire_id: str) -> UUID | None:
    """Return an id of this kind; None where it is another's."""
    return ids.decode(prefix, wire_id) if wire_id.startswith(f"{prefix}_") else None
