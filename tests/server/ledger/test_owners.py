"""References and owners that neither foreign keys nor the chain hold, and what finds them out."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest_asyncio

from billfold import ids
from billfold.ids import Prefix
from billfold_server.account_statements.service import make_due
from billfold_server.invariants.owners import halves, wire
from billfold_server.invariants.queries import INVARIANTS
from billfold_server.invariants.references import REFERENCES
from billfold_server.invariants.service import breaches_in, check
from billfold_server.keys.service import Keys
from billfold_server.reconciliation import service as reconciliation
from billfold_server.reconciliation.service import import_file
from billfold_server.tenancy.context import SYSTEM
from billfold_server.tenancy.transaction import Tx
from tests.parties import add_party
from tests.server.ledger.books import CALLER
from tests.server.ledger.giving import capture, hold
from tests.server.payments.desk import PAYEE, Desk
from tests.tenants import Tenancy

STATEMENT = Path(__file__).parents[3] / "examples" / "statement_import" / "monday.camt053.xml"
MONEY = (
    "accounts",
    "account_statements",
    "account_terms",
    "bank_accounts",
    "checkpoint_balances",
    "consents",
    "hold_movements",
    "hold_terms",
    "holds",
    "idempotency_keys",
    "journal_entries",
    "payment_steps",
    "payment_texts",
    "payments",
    "postings",
    "reversals",
    "statement_entries",
    "statement_imports",
    "statements",
    "transfers",
    "vrp_periods",
    "wallet_aliases",
    "wallet_terms",
    "wallets",
)
ELSEWHERE = {
    "account_terms.account_id": "accounts_are_on_their_terms",
    "account_terms.wallet_id": "accounts_are_on_their_terms",
    "wallet_terms.party_id": "wallets_are_on_their_terms",
    "wallet_terms.wallet_id": "wallets_are_on_their_terms",
    "accounts.wallet_id": "wallets_and_their_accounts_agree",
    "hold_movements.account_id": "movements_have_their_hold",
    "hold_movements.hold_id": "movements_have_their_hold",
    "hold_movements.to_account_id": "movements_have_their_hold",
    "hold_terms.account_id": "holds_are_as_they_were_placed",
    "hold_terms.hold_id": "holds_are_as_they_were_placed",
    "hold_terms.to_account_id": "holds_are_as_they_were_placed",
    "hold_terms.to_wallet_id": "holds_are_as_they_were_placed",
    "hold_terms.wallet_id": "holds_are_as_they_were_placed",
    "holds.account_id": "holds_have_their_accounts",
    "holds.to_account_id": "holds_have_their_accounts",
    "holds.journal_entry_ids": "holds_name_their_entries",
    "journal_entries.hold_id": "captures_have_their_hold",
    "journal_entries.reverses": "reversing_entries_have_their_entry",
    "postings.account_id": "postings_have_their_entry",
    "postings.entry_id": "postings_have_their_entry",
    "statement_entries.journal_entry_id": "statement_entries_are_posted",
    "statement_entries.movement_id": "statement_entries_have_their_movement",
    "consents.wallet_ids": "consents_refer_to_what_is_there",
}
"""References that an invariant of their own holds, and which that is."""

NOWHERE = {
    # What outlives what it refers to: consents, people and proofs are forgotten in time, and clients don't go with an
    # export.
    "consents.client_id",
    "consents.sca_id",
    "consents.user_id",
    "idempotency_keys.client_id",
    "payments.client_id",
    "payments.consent_id",
    # Places in the journal, which a month that was detached leaves where they are.
    "account_statements.behind",
    "account_statements.until",
}

TAMPERING = [
    ("UPDATE payments SET wallet_id = gen_random_uuid()", "payments_refer_to_what_is_there"),
    ("UPDATE payments SET to_wallet_id = gen_random_uuid() WHERE rail IS NULL", "payments_refer_to_what_is_there"),
    ("UPDATE payments SET party_id = gen_random_uuid()", "payments_refer_to_what_is_there"),
    ("UPDATE payments SET journal_entry_id = gen_random_uuid()", "payments_refer_to_what_is_there"),
    (
        """
        INSERT INTO payment_steps (payment_id, number, word, effect, status, recorded_at)
        VALUES (gen_random_uuid(), 1, 'settled', 'moves', 'ACSC', now())
        """,
        "payment_steps_refer_to_what_is_there",
    ),
    ("UPDATE payment_texts SET payment_id = gen_random_uuid()", "payment_texts_refer_to_what_is_there"),
    ("DELETE FROM statement_imports", "statements_refer_to_what_is_there"),
    ("DELETE FROM statement_imports", "statement_entries_refer_to_what_is_there"),
    ("UPDATE statement_entries SET statement_id = gen_random_uuid()", "statement_entries_refer_to_what_is_there"),
    (
        "UPDATE statement_entries SET assigning_journal_entry_id = gen_random_uuid() WHERE outcome = 'assigned'",
        "statement_entries_refer_to_what_is_there",
    ),
    ("UPDATE statements SET bank_account = 'X'", "statement_entries_are_of_their_statements"),
    ("UPDATE statements SET cash_account_id = gen_random_uuid()", "statements_refer_to_what_is_there"),
    ("UPDATE bank_accounts SET cash_account_id = gen_random_uuid()", "bank_accounts_refer_to_what_is_there"),
    ("UPDATE transfers SET to_wallet_id = gen_random_uuid() WHERE kind = 'top_up'", "transfers_refer_to_what_is_there"),
    ("UPDATE holds SET wallet_id = gen_random_uuid()", "holds_refer_to_what_is_there"),
    ("UPDATE holds SET journal_entry_ids = ARRAY[gen_random_uuid()]", "holds_name_their_entries"),
    ("UPDATE consents SET wallet_ids = ARRAY[gen_random_uuid()]", "consents_refer_to_what_is_there"),
    (
        "INSERT INTO reversals (journal_entry_id, amount_minor, reversed_minor) VALUES (gen_random_uuid(), 1, 1)",
        "reversals_refer_to_what_is_there",
    ),
    ("INSERT INTO checkpoint_balances VALUES (gen_random_uuid(), 0)", "checkpoint_balances_refer_to_what_is_there"),
    ("UPDATE account_statements SET account_id = gen_random_uuid()", "account_statements_refer_to_what_is_there"),
    # Owners.
    ("UPDATE wallets SET party_id = '{party}'", "wallets_are_on_their_terms"),
    ("DELETE FROM wallet_terms", "wallets_are_on_their_terms"),
    ("UPDATE wallet_terms SET wallet_id = gen_random_uuid()", "wallets_are_on_their_terms"),
    ("UPDATE accounts SET overdraft_limit_minor = 9 WHERE code IS NULL", "accounts_are_on_their_terms"),
    ("{swap}", "accounts_are_on_their_terms"),
    ("DELETE FROM account_terms WHERE code IS NULL", "accounts_are_on_their_terms"),
    ("UPDATE account_terms SET account_id = gen_random_uuid()", "accounts_are_on_their_terms"),
    ("UPDATE wallets SET party_id = '{party}'", "wallets_are_whose_they_were_opened_for"),
    (
        "UPDATE wallets SET party_id = '{party}'; DELETE FROM outbox_events",
        "wallets_are_whose_they_were_opened_for",
    ),
    (
        "UPDATE wallets SET party_id = '{party}'; DELETE FROM audit_records",
        "wallets_are_whose_they_were_opened_for",
    ),
    ("UPDATE wallets SET party_id = '{party}'", "payments_are_by_their_wallets_parties"),
    ("UPDATE wallets SET party_id = '{party}'", "consents_are_about_their_parties_wallets"),
    ("{swap}", "transfers_are_posted_to_their_wallets"),
    ("{swap}; {swap_transfers}", "holds_are_on_their_wallets_accounts"),
    ("{swap}; {swap_transfers}; DELETE FROM holds", "payments_are_posted_to_their_wallets"),
    ("{swap}", "account_statements_are_of_their_wallets"),
    ("{swap}", "assigned_entries_are_posted_to_their_wallets"),
    ("{swap_late}", "accounts_are_no_older_than_their_wallets"),
    ("UPDATE holds SET to_wallet_id = NULL", "holds_are_on_their_wallets_accounts"),
    ("UPDATE hold_terms SET hold_id = gen_random_uuid()", "holds_are_as_they_were_placed"),
    ("UPDATE hold_terms SET to_account_id = NULL", "holds_are_as_they_were_placed"),
    ("{swap}; {swap_transfers}; {swap_holds}", "holds_are_as_they_were_placed"),
    ("UPDATE holds SET currency = 'JPY'", "holds_are_on_their_wallets_accounts"),
]
"""What is done to the books, each from the same beginning, and which invariant finds it at the least."""

_SWAP = """
WITH o AS (SELECT id, wallet_id FROM accounts WHERE currency = 'EUR' AND wallet_id IN ({pair}))
UPDATE accounts AS a SET wallet_id = b.wallet_id FROM o AS b WHERE a.id IN (SELECT id FROM o) AND b.id <> a.id
"""
_SWAP_TRANSFERS = """
UPDATE transfers SET
    from_wallet_id = CASE from_wallet_id WHEN {first} THEN {second}::uuid WHEN {second} THEN {first}::uuid END,
    to_wallet_id = CASE to_wallet_id WHEN {first} THEN {second}::uuid WHEN {second} THEN {first}::uuid END
"""
_SWAP_HOLDS = "UPDATE holds SET wallet_id = {second}, to_wallet_id = {first}"
_UNIQUE = "DROP INDEX accounts_wallet"


@pytest_asyncio.fixture
async def desk(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Desk]:
    """A bank at which something of everything that refers to wallets has happened."""
    desk = await Desk.open(tenancy, tenant_keys)
    bench = desk.bench
    await bench.add_wallets(1, ["EUR"])
    await desk.pay(to=PAYEE)
    rejected = await desk.pay()
    await desk.turn(rejected)
    made = await hold(bench, 500, to_wallet_id=bench.wallets[1])
    await capture(bench, made, amount_minor=200, final=False)
    answer = await import_file(
        bench.engine, bench.database, tenant_keys, bench.tenant, STATEMENT.read_bytes(), caller=CALLER, secret=bytes(32)
    )
    assert answer.error is None
    async with desk.bank.tx() as tx:
        entry_id = await tx.fetchval(
            "SELECT id FROM statement_entries WHERE outcome = 'suspense' AND currency = 'EUR' AND amount_minor > 0"
        )
    assignment = reconciliation.Assignment(entry_id, ids.decode(Prefix.WALLET, bench.wallets[0]))
    assert (await bench.submit(reconciliation.ASSIGN_ENTRY, assignment)).error is None
    # Two months on, so that the statements of the first are due.
    await tenancy.as_owner(bench.tenant, "UPDATE tenant_clock SET frozen_at = now() + interval '62 days'")
    assert await make_due(desk.bank.tx, SYSTEM) > 0
    yield desk
    await bench.engine.close()


class TestBooks:
    """Books."""

    async def test_say_of_every_reference_what_holds_it(self, tenancy: Tenancy) -> None:
        """Each column of a table of money that holds ids is a key, a foreign key, held by an invariant, or excepted."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            rows = await tx.fetch(
                """
                SELECT c.relname || '.' || a.attname AS name, t.confrelid IS NOT NULL AS held
                FROM pg_class AS c
                JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                LEFT JOIN pg_constraint AS t ON t.conrelid = c.oid AND t.contype = 'f' AND t.conkey = ARRAY[a.attnum]
                WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY($1::text[])
                    AND a.atttypid IN ('uuid'::regtype, 'uuid[]'::regtype) AND a.attname <> 'id'
                """,
                list(MONEY),
            )
        open_ = {row["name"] for row in rows if not row["held"]}
        plain = {
            name
            for name in open_
            for table, column in [name.split(".")]
            if f"'{column} is " in REFERENCES.get(f"{table}_refer_to_what_is_there", "")
        }
        assert open_ - plain == ELSEWHERE.keys() | NOWHERE
        assert set(ELSEWHERE.values()) <= INVARIANTS.keys()

    async def test_write_ids_as_they_are_written_elsewhere(self, tenancy: Tenancy) -> None:
        """What compares wallets with the audit trail writes a uuid in SQL to the letter as `billfold.ids` does."""
        given = [UUID(int=0), UUID(int=2**128 - 1), *(UUID(int=1 << bit) for bit in range(128)), ids.uuid7()]
        both = f"SELECT {halves('id')} FROM unnest($1::uuid[]) AS u (id)"  # noqa: S608 - constants
        query = f"SELECT {wire('wal', 'id')} AS written FROM ({both}) AS h"  # noqa: S608 - constants
        async with tenancy.database.tx(tenancy.tenant) as tx:
            rows = await tx.fetch(query, given)
        assert [row["written"] for row in rows] == [ids.encode(Prefix.WALLET, each) for each in given]

    async def test_of_which_one_row_tells_otherwise_are_found_out(self, tenancy: Tenancy, desk: Desk) -> None:
        """A reference that leads nowhere, and an owner who was changed in some places and not in all."""
        assert await check(desk.bench.database, desk.tenant) == []
        async with desk.bank.tx() as tx:
            party = await add_party(tx)
        first, second, third = (f"'{ids.decode(Prefix.WALLET, wallet)}'" for wallet in desk.bench.wallets)
        words = {
            "{party}": str(party),
            "{swap}": f"{_UNIQUE}; {_SWAP}".replace("{pair}", f"{first}, {second}"),
            "{swap_late}": f"{_UNIQUE}; {_SWAP}".replace("{pair}", f"{first}, {third}"),
            "{swap_holds}": _SWAP_HOLDS.replace("{first}", first).replace("{second}", second),
            "{swap_transfers}": _SWAP_TRANSFERS.replace("{first}", first).replace("{second}", second),
        }
        missed = []
        connection = await asyncpg.connect(tenancy.admin_dsn)
        try:
            await connection.execute(f"SET search_path TO {desk.tenant.schema}")
            for template, invariant in TAMPERING:
                statement = template
                for word, text in words.items():
                    statement = statement.replace(word, text)
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute(statement)
                found = {breach.invariant for breach in await breaches_in(Tx(connection))}
                await transaction.rollback()
                if invariant not in found:
                    missed.append((template, invariant, found))
        finally:
            await connection.close()
        assert missed == []
        assert await check(desk.bench.database, desk.tenant) == []
