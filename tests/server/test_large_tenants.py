"""What is read of a tenant that has very much, where little is asked for: as much as is shown, whatever the plan."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from billfold import ids
from billfold.contract.parties import PartyKind
from billfold.contract.statements import EntryOutcome
from billfold.ids import Prefix
from billfold_server.account_statements import queries as account_statements
from billfold_server.approvals import queries as approvals
from billfold_server.arrangements import queries as arrangements
from billfold_server.audit import subjects as audit
from billfold_server.consents import queries as consents
from billfold_server.db import outbox
from billfold_server.ledger import queries as ledger
from billfold_server.ledger import subjects as ledger_subjects
from billfold_server.open_banking.events import queries as notifications
from billfold_server.parties import queries as parties
from billfold_server.payments import queries as payments
from billfold_server.people import queries as people
from billfold_server.people import sca_queries as sca
from billfold_server.people import subjects as people_subjects
from billfold_server.reconciliation import queries as reconciliation
from billfold_server.reconciliation import subjects as reconciliation_subjects
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import queries as tokens
from billfold_server.wallets import queries as wallets
from tests.postgres import copying, in_own_loop
from tests.tenants import Administer, Tenancy, in_database, open_tenancy

EACH: Final = 12_000
MOST_ROWS: Final = 400
LOOKED_AT: Final = 10_000
"""Of a page of one kind, of which so many postings are looked at, each with its entry."""
NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)
ONE: Final = "'00000000-0000-7000-8000-000000000001'::uuid"
_ID: Final = "('00000000-0000-7000-8000-' || lpad(to_hex({}), 12, '0'))::uuid"
_OWN: Final = _ID.format("n")
_RARELY: Final = f"n IN (1, {EACH // 2})"

ROWS: Final[Mapping[str, Mapping[str, str]]] = {
    "parties": {"kind": f"CASE WHEN {_RARELY} THEN 'company' ELSE 'person' END", "search_digests": "ARRAY[n, -1]"},
    "users": {"state": f"CASE WHEN {_RARELY} THEN 'invited' ELSE 'active' END", "login_realm": "'psu'"},
    "sessions": {"user_id": f"CASE WHEN {_RARELY} THEN {ONE} ELSE {_OWN} END", "ended_at": "now()"},
    # One who has agreed to very much, and long ago.
    "sca_challenges": {
        "user_id": ONE,
        "state": "'completed'",
        "used_at": "now()",
        "payee_key": "sha256(n::text::bytea)",
        "kind": "'payment'",
        "expires_at": "now() + interval '1 day'",
    },
    "wallets": {"party_id": _OWN, "status": f"CASE WHEN {_RARELY} THEN 'frozen' ELSE 'active' END"},
    "accounts": {"wallet_id": _OWN, "type": "'liability'", "currency": "'EUR'", "normal_side": "'credit'"},
    "transfers": {"kind": "'transfer'", "to_wallet_id": ONE, "from_wallet_id": _OWN},
    "journal_entries": {"kind": "'transfer'", "effective_at": "{at}", "effective_high": "{at}", "recorded_at": "{at}"},
    "postings": {"entry_id": _OWN, "account_id": ONE, "line": "1", "effective_at": "{at}"},
    "holds": {"status": f"CASE WHEN {_RARELY} THEN 'open' ELSE 'captured' END"},
    "payments": {"wallet_id": ONE, "status": "'ACSC'", "money": "'settled'", "kind": "'own_payment'"},
    "consents": {
        "kind": "'domestic_payment'",
        "status": "'COND'",
        "ended_at": "now()",
        "client_id": ONE,
        "party_id": ONE,
    },
    "consent_uses": {"consent_id": ONE, "hour": "{at}", "operation": "'accounts'", "last_at": "{at}"},
    "vault_tokens": {"place": _OWN, "kind": "'card'", "party_id": ONE},
    "audit_records": {"object_id": f"'{ids.encode(Prefix.PARTY, UUID(int=(7 << 76) | (2 << 62) | 1))}'"},
    "outbox_events": {"sequence": "n", "type": "'wallet.updated'", "data": "'{{}}'"},
    "event_notifications": {"client_id": f"CASE WHEN {_RARELY} THEN {ONE} ELSE {_ID.format('n % 500 + 2')} END"},
    "approvals": {"client_id": ONE, "state": f"CASE WHEN {_RARELY} THEN 'pending' ELSE 'executed' END"},
    "arrangements": {"kind": "'beneficiary'", "status": "'active'"},
    "statement_entries": {
        "wallet_id": f"CASE WHEN {_RARELY} THEN {ONE} ELSE {_OWN} END",
        "outcome": "'assigned'",
        "dedup_key": "sha256(n::text::bytea)",
    },
    "account_statements": {"account_id": _OWN, "starts_at": "timestamptz '2026-01-01Z'"},
}
_BY_TYPE: Final = {
    "uuid": "gen_random_uuid()",
    "text": "n::text",
    "integer": "1",
    "bigint": "1",
    "smallint": "1",
    "boolean": "false",
    "timestamp with time zone": "now()",
    "date": "current_date",
    "bytea": "sha256(n::text::bytea)",
    "json": "'{}'",
    "jsonb": "'{}'",
    "numeric(38,0)": "0",
}


async def fill(connection: "asyncpg.Connection[asyncpg.Record]", table: str, given: Mapping[str, str]) -> None:
    """Write very many rows, which are alike but for what is given."""
    columns = await connection.fetch(
        "SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute "
        "WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
        table,
    )
    values = {}
    for name, type_, required in columns:
        if name in given:
            values[name] = given[name].format(at="timestamptz '2026-01-01Z' + n * interval '1 second'")
        elif name == "id":
            values[name] = _OWN
        elif required:
            values[name] = _BY_TYPE.get(type_, "'{}'")
    cast = ", ".join(f"({value})::{type_}" for name, type_, _ in columns if (value := values.get(name)) is not None)
    into = ", ".join(name for name, _, _ in columns if name in values)
    # What rows must be beside alike is said elsewhere.
    for (constraint,) in await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::regclass AND contype IN ('c', 'f')", table
    ):
        await connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"')
    await connection.execute(f"INSERT INTO {table} ({into}) SELECT {cast} FROM generate_series(1, {EACH}) AS n")  # noqa: S608
    await connection.execute(f"VACUUM (ANALYZE) {table}")


async def fill_all(dsn: str) -> None:
    """Make a tenant large."""
    tenancy = await open_tenancy(dsn)
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"SET ROLE {tenancy.tenant.owner_role}; SET search_path TO {tenancy.tenant.schema}")
    for table, given in ROWS.items():
        await fill(connection, table, given)
    await connection.close()
    await tenancy.database.close()


@pytest.fixture(scope="module")
def filled(postgres_dsn: str, administer: Administer, tenancy_template: str) -> Iterator[str]:
    """Have a database whose tenant has much of everything, and yield its DSN."""
    name = f"test_{secrets.token_hex(6)}"
    administer(copying(name, tenancy_template))
    dsn = in_database(postgres_dsn, name)
    in_own_loop(fill_all(dsn))
    yield dsn
    administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def large(filled: str) -> AsyncIterator[Tenancy]:
    """Open the tenant."""
    opened = await open_tenancy(filled)
    yield opened
    await opened.database.close()


FIRST: Final = UUID(int=(7 << 76) | (2 << 62) | 1)
KEY: Final = bytes(32)
Question = Callable[[TenantTx], Awaitable[Any]]


def _listed_users(**asked: Any) -> Question:
    given = {"login_realm": None, "state": None, "party_id": None, "login_name": None, "before": None, "limit": 26}
    return lambda tx: people.list_users(tx, **(given | asked))


def _listed_consents(**asked: Any) -> Question:
    given = {"before": None, "client_id": None, "party_id": None, "kind": None, "status": None, "limit": 26}
    return lambda tx: consents.list_page(tx, **(given | asked))


def _listed_arrangements(**asked: Any) -> Question:
    given = {"before": None, "wallet_id": None, "kind": None, "status": None, "limit": 26}
    return lambda tx: arrangements.list_page(tx, **(given | asked))


def _listed_approvals(**asked: Any) -> Question:
    given = {"before": None, "state": None, "open_at": None, "over_at": None, "limit": 26}
    return lambda tx: approvals.list_page(tx, **(given | asked))


def _listed_parties(**asked: Any) -> Question:
    given = {"external_id": None, "kind": None, "search": None, "before": None, "limit": 26}
    return lambda tx: parties.list_page(tx, **(given | asked))


def _exported(sql: str, whose: list[Any]) -> Question:
    return lambda tx: tx.fetch(sql, whose, None, 26)


QUESTIONS: Final[Mapping[str, Question]] = {
    "companies": _listed_parties(kind=PartyKind.COMPANY),
    "parties with a rare word": _listed_parties(search=[[[77, 78]]]),
    "parties without a word": _listed_parties(search=[[[-77]]]),
    "users that are invited": _listed_users(state="invited"),
    "users that are disabled": _listed_users(state="disabled"),
    "frozen wallets": lambda tx: wallets.list_wallets(tx, limit=26, status="frozen"),
    "accounts of the bank": lambda tx: ledger.list_accounts(tx, limit=26, type="asset"),
    "open holds": lambda tx: ledger.list_holds(tx, limit=26, status="open"),
    "holds that have expired": lambda tx: ledger.list_holds(tx, limit=26, status="expired"),
    "rejected payments": lambda tx: payments.list_payments(tx, limit=26, status="RJCT"),
    "payments that need somebody": lambda tx: payments.list_payments(tx, limit=26, needs_attention=True),
    "consents that wait": _listed_consents(status="AWAU"),
    "consents that were rejected": _listed_consents(status="RJCT"),
    "consents to ask for funds": _listed_consents(kind="funds_confirmation"),
    "when a consent was used last": lambda tx: consents.last_uses(tx, [FIRST]),
    "cancelled arrangements": _listed_arrangements(status="cancelled"),
    "direct debits": _listed_arrangements(kind="direct_debit"),
    "approvals that wait": _listed_approvals(state="pending", open_at=NOW),
    "approvals that were rejected": _listed_approvals(state="rejected"),
    "an open approval": lambda tx: approvals.lock_open(tx, FIRST, None, KEY, NOW),
    "duplicate statement entries": lambda tx: reconciliation.list_entries(tx, limit=26, outcome=EntryOutcome.DUPLICATE),
    "tokens of personal values": lambda tx: tokens.list_page(tx, kind="personal", limit=26),
    "tokens that were used up": lambda tx: tokens.delete_expired(tx, NOW, 100),
    "events of a type that there is none of": lambda tx: outbox.list_events(tx, limit=26, each_type=["hold.expired"]),
    "such events for a partner": lambda tx: outbox.list_events(
        tx, limit=26, each_type=["hold.expired"], of_partner="ptn_1"
    ),
    "what a third party was told": lambda tx: notifications.list_told(
        tx, client_id=FIRST, state=None, before=None, limit=26
    ),
    "what somebody was exempt from": lambda tx: sca.exempted_since_sca(tx, FIRST, "EUR"),
    "whether a payee is trusted": lambda tx: sca.is_trusted(tx, FIRST, KEY),
    "whether a series is known": lambda tx: sca.is_known_series(
        tx, FIRST, kind="recurring", payee_key=KEY, amount_minor=1, currency="EUR"
    ),
    "what is to be superseded": lambda tx: sca.void_superseded(
        tx, FIRST, kind="payment", object_id="1", challenge_id=None, now=NOW
    ),
    "how far a month's statements are": lambda tx: account_statements.last_account(tx, NOW),
    "somebody's transfers": _exported(wallets.TRANSFERS_OF, [FIRST]),
    "somebody's payments": lambda tx: payments.list_of(tx, [FIRST], after=None, limit=26),
    "somebody's sessions": _exported(people_subjects._SESSIONS, [FIRST]),
    "somebody's statement entries": _exported(reconciliation_subjects._ENTRIES, [FIRST]),
    "somebody's journal entries": _exported(ledger_subjects._ENTRIES, [FIRST]),
    "somebody's audit trail": _exported(audit._RECORDS, [ids.encode(Prefix.PARTY, FIRST), "wal_1"]),
    "entries that are late": lambda tx: ledger.list_entries(tx, limit=26, to=datetime(2026, 1, 1, 0, 1, tzinfo=UTC)),
}
AT_MOST: Final = {"somebody's journal entries": 2 * MOST_ROWS}
_READ: Final = """
SELECT relname, (seq_tup_read + coalesce(idx_tup_fetch, 0))::int AS read FROM pg_stat_xact_user_tables
WHERE schemaname = current_schema()
"""


class Reading:
    """Counts the rows that a transaction reads, as PostgreSQL does."""

    def __init__(self, tx: TenantTx) -> None:
        self._tx = tx

    async def __aenter__(self) -> Self:
        self._before = await self._read()
        return self

    async def __aexit__(self, *_: object) -> None:
        after = await self._read()
        self.of_each = {table: read for table in after if (read := after[table] - self._before.get(table, 0))}
        self.rows = sum(self.of_each.values())

    async def _read(self) -> dict[str, int]:
        return {row["relname"]: row["read"] for row in await self._tx.fetch(_READ)}


async def _lines(tx: TenantTx, place: Any) -> tuple[Any, Any]:
    return await ledger.list_statement(tx, [FIRST], limit=26, before=place, kind="payment")


async def _entries(tx: TenantTx, place: Any) -> tuple[Any, Any]:
    return await ledger.list_entries(tx, limit=26, before=place, account_id=FIRST, kind="payment")


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
class TestALargeTenant:
    async def test_costs_no_question_more_than_it_asks_for(self, large: Tenancy, mode: str) -> None:
        """Of thousands of rows, those are read that are shown, also by a plan that is kept for all that is asked."""
        too_much = {}
        for name, ask in QUESTIONS.items():
            async with large.database.tx(large.tenant) as tx:
                await tx.execute(f"SET LOCAL plan_cache_mode TO {mode}")
                async with Reading(tx) as reading:
                    await ask(tx)
            if reading.rows > AT_MOST.get(name, MOST_ROWS):
                too_much[name] = reading.of_each
        assert not too_much

    async def test_looks_at_so_much_for_a_page_of_a_kind(self, large: Tenancy, mode: str) -> None:
        """Among very many transfers are no payments; who asks for them is told where to go on, until all is seen."""
        for ask in (_lines, _entries):
            place: Any = None
            pages = 0
            while pages == 0 or place is not None:
                async with large.database.tx(large.tenant) as tx:
                    await tx.execute(f"SET LOCAL plan_cache_mode TO {mode}")
                    async with Reading(tx) as reading:
                        found, place = await ask(tx, place)
                assert not found
                assert reading.rows <= LOOKED_AT, reading.of_each
                pages += 1
            assert pages == EACH // 2_000 + 1
