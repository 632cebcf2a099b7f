"""The export of a tenant's books, and what finds them broken."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from billfold.chain import Damage, verify_export
from billfold.chain.beside import KEYS
from billfold.chain.records import HeadRecord
from billfold_server.invariants.service import check
from billfold_server.ledger.export import BESIDE, export_ledger, verify_ledger
from billfold_server.ledger.importing import BALANCES, COLUMNS, POSTINGS
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.full import full_books
from tests.server.ledger.giving import capture, hold, reverse
from tests.tenants import Tenancy

CHAINED = {"journal_entry", "hold_movement", "hold_terms", "era", "wallet_terms", "account_terms"}
"""What of full books is a record of the chain."""


async def filled(tenancy: Tenancy) -> Bench:
    """Return a bench whose wallets have moved money."""
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await bench.add_wallets(3)
    await bench.top_up(0, 1_000)
    await bench.transfer(0, 1, 250)
    return bench


async def exported(bench: Bench) -> list[dict[str, Any]]:
    """Return the export's lines."""
    return [msgspec.json.decode(line) async for line in export_ledger(bench.database, bench.tenant)]


class TestAnExport:
    """An export."""

    async def test_holds_the_whole_books(self, tenancy: Tenancy) -> None:
        """Head, people, accounts, the chain with its entries, and a last line that counts them."""
        bench = await filled(tenancy)
        lines = await exported(bench)
        assert lines[0]["record"] == "head"
        counts = lines[-1]["counts"]
        assert (lines[0]["sequence"], lines[0]["link"]) == (2, counts.pop("link"))
        people = {"party": 1, "wallet": 3, "wallet_terms": 3, "account": 3, "account_terms": 3}
        assert counts == {"head": 1, "era": 1, **people, "journal_entry": 2, "transfer": 2}
        entries = [line for line in lines if line["record"] == "journal_entry"]
        assert [posting["amount_minor"] for posting in entries[1]["postings"]] == [250, -250]

    async def test_puts_each_record_after_its_link(self, tenancy: Tenancy) -> None:
        """So whoever reads it needs to remember no more than one batch."""
        bench = await full_books(tenancy)
        waiting = 0
        for line in await exported(bench):
            if line["record"] == "link":
                assert waiting == 0
                waiting = len(msgspec.convert(line["leaves"], bytes, strict=False)) // 32
            elif line["record"] in CHAINED:
                waiting -= 1
        assert waiting == 0
        await bench.engine.close()

    async def test_is_verified_without_a_server(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """The SDK alone finds it whole, and finds out a single digit that was changed in it."""
        bench = await full_books(tenancy)
        lines = [line async for line in export_ledger(bench.database, bench.tenant)]
        path = tmp_path / "books.jsonl"
        path.write_bytes(b"\n".join(lines))
        verification = verify_export(path)
        assert verification.findings == []
        assert verification.head == (await verify_ledger(bench.database, bench.tenant)).head
        (place,) = [at for at, line in enumerate(lines) if b'"amount_minor":25,' in line and b"journal_entry" in line]
        lines[place] = lines[place].replace(b'"amount_minor":25,', b'"amount_minor":26,')
        found = verify_export(lines).findings[0]
        assert (found.damage, found.record, found.line) == (Damage.EDITED, "journal_entry", place + 1)
        await bench.engine.close()

    async def test_is_read_in_windows(self, tenancy: Tenancy) -> None:
        """More entries than one window holds come all, each once and in order."""
        bench = await filled(tenancy)
        for _ in range(4):
            await asyncio.gather(*(bench.top_up(wallet % 3, 1) for wallet in range(300)))
        sequences = [line["sequence"] for line in await exported(bench) if line["record"] == "journal_entry"]
        assert sequences == list(range(1, 1203))
        assert (await verify_ledger(bench.database, bench.tenant)).ok
        await bench.engine.close()

    async def test_knows_every_table_and_column(self, tenancy: Tenancy) -> None:
        """Each table of a tenant is exported with all its columns, or is known to be no part of the books."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            rows = await tx.fetch(
                """
                SELECT c.relname AS table, array_agg(a.attname::text) AS columns
                FROM pg_class AS c
                JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
                    AND NOT c.relispartition
                GROUP BY c.relname
                """
            )
        columns = {row["table"]: set(row["columns"]) for row in rows}
        further = {"postings": set(POSTINGS), "checkpoint_balances": set(BALANCES)}
        ours = {table: set(names) for table, names in COLUMNS.items()} | further
        ours |= {table: set(names.split(", ")) for table, (_, names) in BESIDE.items()}
        head = columns.pop("ledger_head") - {"id", "fence", "era"}
        assert head == set(HeadRecord.__struct_fields__) - {"format", "tenant"}
        assert {table: columns[table] - SEALED.get(table, set()) for table in ours} == ours
        assert columns.keys() - ours.keys() - NO_BOOKS == set()


SEALED = {
    "parties": {"sealed_profile", "search_digests", "search_version"},
    "statement_entries": {"sealed_texts"},
}
"""What stays where its keys are."""

NO_BOOKS = {
    "api_clients",
    "account_statement_months",
    "account_statements",
    "approvals",
    "arrangements",
    "audit_head",
    "audit_links",
    "audit_records",
    "authorization_codes",
    "blocked_third_parties",
    "consent_evidence",
    "consent_evidence_head",
    "consent_history",
    "consent_uses",
    "consents",
    "encryption_keys",
    "enrolment_codes",
    "event_notifications",
    "event_subscriptions",
    "factors",
    "grants",
    "interactions",
    "job_schedules",
    "jobs",
    "migration",
    "outbox_events",
    "partner_sandboxes",
    "partners",
    "payment_texts",
    "products",
    "publisher_cursors",
    "pushed_requests",
    "recovery_codes",
    "refresh_tokens",
    "relay_head",
    "request_log",
    "revoked_tokens",
    "sandbox_seeds",
    "sca_challenges",
    "seen_tokens",
    "sessions",
    "sign_in_failures",
    "signing_keys",
    "simulation_uses",
    "simulations",
    "spent_challenges",
    "tenant_clock",
    "users",
    "vault_fingerprints",
    "card_sessions",
    "vault_tokens",
    "vault_uses",
    "wallet_products",
    "vrp_periods",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_endpoints",
}
"""What a tenant has besides its books: people, what they allow, secrets, its clock, what is said and to be done."""


def test_tables_beside_come_as_the_verification_expects_them() -> None:
    """In its order, and in order of the same keys."""
    plain = {table: tuple(key.replace(' COLLATE "C"', "").split(", ")) for table, (key, _) in BESIDE.items()}
    assert list(plain.items()) == list(KEYS.items())


class TestBrokenBooks:
    """Broken books."""

    async def test_are_named(self, tenancy: Tenancy) -> None:
        """A balance or posting that an owner of the tables has changed behind the engine's back is found."""
        bench = await filled(tenancy)
        assert await check(bench.database, bench.tenant) == []
        await tenancy.as_owner(
            tenancy.tenant,
            "UPDATE accounts SET posted_minor = posted_minor + 1 WHERE code = 'cash'",
            "UPDATE postings AS p SET amount_minor = p.amount_minor - 1 FROM journal_entries AS j "
            "WHERE j.id = p.entry_id AND j.sequence = 2 AND p.line = 0",
            "DELETE FROM journal_entries WHERE sequence = 1",
        )
        broken = {breach.invariant for breach in await check(bench.database, bench.tenant)}
        assert broken == {
            "entries_balance",
            "books_balance",
            "balances_equal_postings",
            "running_balances_add_up",
            "journal_has_no_gaps",
            "postings_have_their_entry",
            "transfers_have_their_entry",
            "transfers_are_posted_to_their_wallets",
        }

    @pytest.mark.parametrize(
        ("statement", "invariant"),
        [
            ("UPDATE accounts SET currency = 'JPY' WHERE code = 'cash'", "postings_are_in_their_accounts_currency"),
            ("UPDATE accounts SET held_minor = held_minor + 1 WHERE held_minor > 0", "held_equals_open_holds"),
            (
                "UPDATE accounts SET pending_minor = pending_minor + 1 WHERE pending_minor > 0",
                "pending_equals_open_holds",
            ),
            ("UPDATE accounts SET held_minor = 9999 WHERE held_minor > 0", "overdrafts_keep_within_their_limit"),
            ("DELETE FROM hold_movements WHERE step = 1", "holds_equal_their_movements"),
            ("UPDATE holds SET captured_minor = captured_minor + 1", "captures_equal_their_entries"),
            ("UPDATE accounts SET status = 'frozen' WHERE wallet_id IS NOT NULL", "wallets_and_their_accounts_agree"),
            ("UPDATE wallets SET currencies = '{}'", "wallets_and_their_accounts_agree"),
            ("UPDATE reversals SET reversed_minor = reversed_minor + 1", "reversals_equal_entries"),
            ("UPDATE journal_entries SET recorded_at = '2000-01-02Z' WHERE sequence = 2", "recorded_in_order"),
            (
                "UPDATE journal_entries SET reverses = gen_random_uuid() WHERE reverses IS NOT NULL",
                "reversing_entries_have_their_entry",
            ),
            ("DELETE FROM holds", "captures_have_their_hold"),
            ("DELETE FROM holds", "movements_have_their_hold"),
            ("DELETE FROM holds", "holds_are_as_they_were_placed"),
            ("UPDATE holds SET to_account_id = gen_random_uuid()", "holds_have_their_accounts"),
            ("UPDATE ledger_head SET link = link - 1", "chain_ends_at_the_head"),
            ("DELETE FROM ledger_head", "chain_ends_at_the_head"),
            ("DELETE FROM ledger_head", "journal_has_no_gaps"),
            ("UPDATE ledger_head SET hash = decode(repeat('11', 32), 'hex')", "chain_ends_at_the_head"),
        ],
    )
    async def test_are_named_each_by_its_invariant(self, tenancy: Tenancy, statement: str, invariant: str) -> None:
        """Each thing that must hold is found when it alone is broken, or with what follows from it."""
        bench = await filled(tenancy)
        made = await hold(bench, 100, to_wallet_id=bench.wallets[2])
        captured = await capture(bench, made, amount_minor=40, final=False)
        await reverse(bench, captured["journal_entry_ids"][0], 3)
        await bench.engine.close()
        assert await check(bench.database, bench.tenant) == []
        await tenancy.as_owner(tenancy.tenant, "ALTER TABLE accounts DROP CONSTRAINT accounts_overdraft", statement)
        assert invariant in {breach.invariant for breach in await check(bench.database, bench.tenant)}

    async def test_cant_be_made_by_the_server(self, tenancy: Tenancy) -> None:
        """The runtime role lacks the privilege to change or delete postings and entries."""
        bench = await filled(tenancy)
        for statement in (
            "UPDATE postings SET amount_minor = 0",
            "DELETE FROM postings",
            "UPDATE journal_entries SET kind = 'x'",
            "DELETE FROM journal_entries",
            "DELETE FROM hold_movements",
            "DELETE FROM hold_terms",
            "DELETE FROM accounts",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with bench.database.tx(bench.tenant) as tx:
                    await tx.execute(statement)
