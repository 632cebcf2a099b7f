"""The ledger as it lies in the database, verified; and what names the first row that was changed there."""

# ruff: noqa: S608 - the SQL is the tests' own.

from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from billfold.chain import Damage, Finding, Head, Verification
from billfold_server.invariants.service import check
from billfold_server.ledger.export import verify_ledger
from tests.server.ledger.books import Bench
from tests.server.ledger.full import full_books, say
from tests.tenants import Tenancy


@pytest_asyncio.fixture
async def full(tenancy: Tenancy) -> Any:
    """Return books in which something of everything has happened."""
    bench = await full_books(tenancy)
    yield bench
    await bench.engine.close()


async def verify(bench: Bench, trusted: Head | None = None) -> Verification:
    """Verify the books."""
    return await verify_ledger(bench.database, bench.tenant, trusted=trusted)


async def tampered(tenancy: Tenancy, bench: Bench, *statements: str) -> Finding:
    """Change rows behind the engine's back, and return the first finding."""
    assert (await verify(bench)).findings == []
    await tenancy.as_owner(tenancy.tenant, *statements)
    verification = await verify(bench)
    assert not verification.ok
    return verification.findings[0]


async def one(bench: Bench, sql: str) -> Any:
    """Return one row."""
    async with bench.database.tx(bench.tenant) as tx:
        return await tx.fetchrow(sql)


ENTRY = "SELECT id, sequence FROM journal_entries WHERE sequence = {}"


class TestTheBooks:
    """The books."""

    async def test_are_as_they_were_written(self, full: Bench) -> None:
        """Whatever the engine writes verifies, and leads to the head that the ledger has."""
        verification = await verify(full)
        assert verification.findings == []
        head = await one(full, "SELECT sequence, link, hash, skips FROM ledger_head")
        assert verification.head == Head(number=head["link"], hash=head["hash"], skips=head["skips"])
        assert verification.sequence == head["sequence"]
        assert verification.counts["hold_movement"] == 4
        assert verification.counts["hold_terms"] == 2
        assert verification.counts["reversal"] == 1
        assert await check(full.database, full.tenant) == []

    async def test_of_a_new_tenant_are_whole(self, tenancy: Tenancy) -> None:
        """A ledger without a link has the head 0, and nothing to find."""
        verification = await verify_ledger(tenancy.database, tenancy.tenant)
        assert (verification.ok, verification.head, verification.sequence) == (True, Head(0, bytes(32)), 0)

    async def test_hold_no_personal_text_in_the_chain(self, tenancy: Tenancy, full: Bench) -> None:
        """Where text and salt are erased, the chain stays whole and goes on from the same head."""
        before = await verify(full)
        await tenancy.as_owner(
            tenancy.tenant,
            "UPDATE journal_entries SET description = NULL, metadata = '{}', text_salt = NULL "
            "WHERE text_commitment IS NOT NULL",
            "UPDATE transfers SET description = NULL, metadata = '{}'",
            "UPDATE holds SET description = NULL, metadata = '{}'",
            "UPDATE hold_terms SET text_salt = NULL",
        )
        assert (await verify(full)).findings[0].record == "journal_entry"
        await tenancy.as_owner(tenancy.tenant, "UPDATE parties SET forgotten_at = now(), external_id = NULL")
        erased = await verify(full)
        assert (erased.findings, erased.head) == ([], before.head)
        await say(full, "again")
        assert (await verify(full, trusted=before.head)).ok


class TestTheFirstDamagedRow:
    """The first damaged row."""

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE postings SET amount_minor = amount_minor + 1 WHERE line = 0 AND entry_id = '{id}'",
            "UPDATE postings SET account_id = gen_random_uuid() WHERE line = 1 AND entry_id = '{id}'",
            "UPDATE postings SET currency = 'USD' WHERE entry_id = '{id}'",
            "UPDATE postings SET posted_after_minor = 0 WHERE line = 1 AND entry_id = '{id}'",
            "DELETE FROM postings WHERE line = 1 AND entry_id = '{id}'",
            "DELETE FROM postings WHERE entry_id = '{id}'",
            (
                "INSERT INTO postings SELECT entry_id, 2, account_id, 5, currency, 5, effective_at "
                "FROM postings WHERE line = 1 AND entry_id = '{id}'"
            ),
            "UPDATE journal_entries SET kind = 'adjustment' WHERE id = '{id}'",
            "UPDATE journal_entries SET sequence = 99 WHERE id = '{id}'",
            "UPDATE journal_entries SET recorded_at = recorded_at + interval '1 microsecond' WHERE id = '{id}'",
            "UPDATE journal_entries SET effective_at = effective_at - interval '1 microsecond' WHERE id = '{id}'",
            "UPDATE journal_entries SET hold_id = gen_random_uuid() WHERE id = '{id}'",
            "UPDATE journal_entries SET reverses = gen_random_uuid() WHERE id = '{id}'",
            (
                "UPDATE journal_entries SET text_commitment = NULL, text_salt = NULL, description = NULL, "
                "metadata = '{{}}' WHERE id = '{id}'"
            ),
            "UPDATE journal_entries SET description = 'other' WHERE id = '{id}'",
            "UPDATE journal_entries SET metadata = '{{\"a\": \"b\"}}' WHERE id = '{id}'",
        ],
    )
    async def test_is_an_entry_that_was_edited(self, tenancy: Tenancy, full: Bench, change: str) -> None:
        """Whatever was changed of an entry or its postings, by the owner of the tables, the entry is named."""
        entry = await one(full, "SELECT id, sequence FROM journal_entries WHERE text_commitment IS NOT NULL LIMIT 1")
        found = await tampered(tenancy, full, change.format(id=entry["id"]))
        assert (found.damage, found.record, found.id) == (Damage.EDITED, "journal_entry", str(entry["id"]))

    @pytest.mark.parametrize(
        ("record", "change"),
        [
            ("journal_entry", "UPDATE journal_entries SET effective_at = '4000-01-01 BC' WHERE sequence = 3"),
            ("posting", "UPDATE postings SET effective_at = '4000-01-01 BC' WHERE line = 1"),
            ("link", "UPDATE ledger_links SET recorded_at = '4000-01-01 BC' WHERE number = 2"),
            ("journal_entry", "UPDATE journal_entries SET recorded_at = '-infinity' WHERE sequence = 3"),
            ("link", "UPDATE ledger_links SET recorded_at = 'infinity' WHERE number = 2"),
            ("hold", "UPDATE holds SET expires_at = 'infinity' WHERE expires_at IS NOT NULL"),
            ("wallet", "UPDATE wallets SET created_at = '20000-01-01'"),
            ("hold", "UPDATE holds SET expires_at = '20000-01-01' WHERE expires_at IS NOT NULL"),
            ("hold_terms", "UPDATE hold_terms SET expires_at = '20000-01-01' WHERE expires_at IS NOT NULL"),
            ("hold_terms", "UPDATE hold_terms SET recorded_at = 'infinity' WHERE expires_at IS NOT NULL"),
            ("idempotency_key", "UPDATE idempotency_keys SET created_at = '20000-01-01'"),
            ("transfer", "UPDATE transfers SET metadata = '[1]' WHERE kind = 'top_up'"),
            ("account", "UPDATE accounts SET metadata = (repeat('[', 2000) || repeat(']', 2000))::jsonb"),
            (
                "posting",
                (
                    "ALTER TABLE postings ALTER effective_at DROP NOT NULL; "
                    "UPDATE postings SET effective_at = NULL WHERE line = 1"
                ),
            ),
            ("party", "ALTER TABLE parties DROP CONSTRAINT parties_roles_check; UPDATE parties SET roles = '{NULL}'"),
            ("wallet", "UPDATE wallets SET currencies = '{{EUR},{USD}}'"),
            ("hold", "UPDATE holds SET journal_entry_ids = '{NULL}'"),
        ],
    )
    async def test_is_one_that_nobody_can_read(self, tenancy: Tenancy, full: Bench, record: str, change: str) -> None:
        """A value that Python has no word for ends the verification with a finding, rather than with an error."""
        found = await tampered(tenancy, full, change)
        assert (found.damage, found.record) == (Damage.MALFORMED, record)
        assert found.id

    @pytest.mark.parametrize("sequence", [1, 4, 7])
    async def test_is_an_entry_that_was_dropped(self, tenancy: Tenancy, full: Bench, sequence: int) -> None:
        """An entry that is deleted with its postings, alone in its batch or among others, is missed by its number."""
        entry = await one(full, ENTRY.format(sequence))
        found = await tampered(
            tenancy,
            full,
            f"DELETE FROM journal_entries WHERE id = '{entry['id']}'",
            f"DELETE FROM postings WHERE entry_id = '{entry['id']}'",
            f"DELETE FROM transfers WHERE id = '{entry['id']}'",
        )
        assert (found.damage, found.record, found.sequence) == (Damage.DROPPED, "journal_entry", sequence)

    async def test_is_an_entry_whose_head_alone_was_dropped(self, tenancy: Tenancy, full: Bench) -> None:
        """The postings that are left behind, and the transfer, refer to nothing."""
        entry = await one(full, ENTRY.format(3))
        await tenancy.as_owner(tenancy.tenant, f"DELETE FROM journal_entries WHERE id = '{entry['id']}'")
        findings = (await verify(full)).findings
        assert (findings[0].damage, findings[0].sequence) == (Damage.DROPPED, 3)
        dangling = {finding.record for finding in findings if finding.damage is Damage.DANGLING}
        assert {"posting", "transfer"} <= dangling

    async def test_is_an_entry_that_was_inserted(self, tenancy: Tenancy, full: Bench) -> None:
        """An entry that was never committed is named, though it balances and stands between others."""
        before = await one(full, "SELECT id, sequence FROM journal_entries WHERE sequence = 3")
        fake = UUID(int=before["id"].int + 1)
        found = await tampered(
            tenancy,
            full,
            f"""
            INSERT INTO journal_entries (id, sequence, kind, effective_at, effective_high, recorded_at, metadata)
            SELECT '{fake}', sequence + 1, 'journal_entry', effective_at, effective_high, recorded_at, '{{}}'
            FROM journal_entries WHERE id = '{before["id"]}'
            """,
            f"""
            INSERT INTO postings (entry_id, line, account_id, amount_minor, currency, posted_after_minor, effective_at)
            SELECT '{fake}', line, account_id, amount_minor, currency, posted_after_minor + amount_minor, effective_at
            FROM postings WHERE entry_id = '{before["id"]}'
            """,
        )
        assert (found.damage, found.record, found.id) == (Damage.INSERTED, "journal_entry", str(fake))

    async def test_is_the_first_of_two_that_were_swapped(self, tenancy: Tenancy, full: Bench) -> None:
        """Where two entries have changed places, the first place is named: another entry stands there now."""
        one_, other = await one(full, ENTRY.format(4)), await one(full, ENTRY.format(5))
        spare = UUID(int=7)
        swaps = [(one_["id"], spare), (other["id"], one_["id"]), (spare, other["id"])]
        found = await tampered(
            tenancy,
            full,
            *(f"UPDATE journal_entries SET id = '{new}' WHERE id = '{old}'" for old, new in swaps),
            *(f"UPDATE postings SET entry_id = '{new}' WHERE entry_id = '{old}'" for old, new in swaps),
        )
        assert (found.damage, found.record, found.id) == (Damage.EDITED, "journal_entry", str(one_["id"]))

    @pytest.mark.parametrize(
        "change",
        [
            "delta_minor = delta_minor + 1",
            "held_after_minor = held_after_minor + 1",
            "pending_after_minor = pending_after_minor + 1",
            "account_id = gen_random_uuid()",
            "effective_at = effective_at - interval '1 second'",
            "recorded_at = recorded_at + interval '1 microsecond'",
        ],
    )
    async def test_is_a_movement_that_was_edited(self, tenancy: Tenancy, full: Bench, change: str) -> None:
        """Whatever was changed of a hold's movement, it is named."""
        row = await one(full, "SELECT hold_id, step FROM hold_movements WHERE step = 1")
        found = await tampered(tenancy, full, f"UPDATE hold_movements SET {change} WHERE step = 1")
        name = f"{row['hold_id']}/1"
        assert (found.damage, found.record, found.id) == (Damage.EDITED, "hold_movement", name)

    async def test_is_a_movement_that_was_dropped(self, tenancy: Tenancy, full: Bench) -> None:
        """A movement that is deleted is missed in its link."""
        found = await tampered(tenancy, full, "DELETE FROM hold_movements WHERE step = 1")
        assert (found.damage, found.record) == (Damage.DROPPED, "record")
        assert "hold" in {finding.record for finding in (await verify(full)).findings}

    @pytest.mark.parametrize(
        ("change", "damage"),
        [
            ("UPDATE ledger_links SET hash = decode(repeat('11', 32), 'hex') WHERE number = 3", Damage.EDITED),
            ("UPDATE ledger_links SET leaves = decode(repeat('11', 32), 'hex') WHERE number = 3", Damage.EDITED),
            ("UPDATE ledger_links SET leaves = leaves || leaves WHERE number = 3", Damage.EDITED),
            (
                "UPDATE ledger_links SET recorded_at = recorded_at + interval '1 microsecond' WHERE number = 3",
                Damage.EDITED,
            ),
            ("DELETE FROM ledger_links WHERE number = 3", Damage.DROPPED),
        ],
    )
    async def test_is_a_link_that_was_changed(self, tenancy: Tenancy, full: Bench, change: str, damage: Damage) -> None:
        """A link that doesn't follow from the ones before, or is gone, is named by its number."""
        found = await tampered(tenancy, full, change)
        assert (found.damage, found.record, found.link) == (damage, "link", 3)

    async def test_is_the_newest_link_that_is_gone(self, tenancy: Tenancy, full: Bench) -> None:
        """Its records, which are left, aren't blamed for it."""
        newest = (await verify(full)).head.number
        found = await tampered(tenancy, full, f"DELETE FROM ledger_links WHERE number = {newest}")
        assert (found.damage, found.record, found.link) == (Damage.DROPPED, "link", newest)

    @pytest.mark.parametrize(
        "change",
        [
            "sequence = sequence + 1",
            "link = link + 1",
            "hash = decode(repeat('11', 32), 'hex')",
            "skips = skips || hash",
            "recorded_at = recorded_at + interval '1 second'",
            "effective_high = effective_high + interval '1 second'",
        ],
    )
    async def test_is_the_head_that_was_changed(self, tenancy: Tenancy, full: Bench, change: str) -> None:
        """A head that isn't the one that the links lead to is named."""
        found = await tampered(tenancy, full, f"UPDATE ledger_head SET {change}")
        assert (found.damage, found.record) == (Damage.EDITED, "head")

    async def test_is_what_was_taken_from_the_end(self, tenancy: Tenancy, full: Bench) -> None:
        """Where the newest batch and its traces are removed whole, a head that was kept still tells."""
        before = (await verify(full)).head
        newest = await one(full, "SELECT max(sequence) AS sequence FROM journal_entries")
        entry = await one(full, ENTRY.format(newest["sequence"]))
        await tenancy.as_owner(
            tenancy.tenant,
            f"DELETE FROM journal_entries WHERE id = '{entry['id']}'",
            f"DELETE FROM ledger_links WHERE number = {before.number}",
        )
        finding = (await verify(full, trusted=before)).findings
        assert any(each.link == before.number and each.damage is Damage.DROPPED for each in finding)


class TestReferences:
    """References that no foreign key holds."""

    @pytest.mark.parametrize(
        ("change", "record"),
        [
            ("DELETE FROM accounts WHERE code = 'cash' AND currency = 'EUR'", "account_terms"),
            (
                """
                UPDATE transfers SET id = '00000000-0000-7000-8000-000000000000'
                WHERE id = (SELECT id FROM transfers WHERE kind = 'transfer' ORDER BY id LIMIT 1)
                """,
                "transfer",
            ),
            ("DELETE FROM transfers WHERE kind = 'top_up'", "journal_entry"),
            ("DELETE FROM reversals", "journal_entry"),
            ("UPDATE reversals SET journal_entry_id = '00000000-0000-7000-8000-000000000000'", "reversal"),
            ("DELETE FROM holds WHERE status = 'captured'", "hold_movement"),
            ("UPDATE holds SET to_account_id = gen_random_uuid() WHERE status = 'open'", "hold"),
            ("ALTER TABLE wallets DROP CONSTRAINT wallets_party_id_fkey; DELETE FROM parties", "wallet"),
        ],
    )
    async def test_are_missed_by_who_makes_them(self, tenancy: Tenancy, full: Bench, change: str, record: str) -> None:
        """What refers to something that is gone is named."""
        found = await tampered(tenancy, full, change)
        assert (found.damage, found.record) == (Damage.DANGLING, record)

    @pytest.mark.parametrize(
        ("change", "record", "damage"),
        [
            ("UPDATE accounts SET posted_minor = posted_minor + 1 WHERE code = 'cash'", "account", "wrong_balance"),
            ("UPDATE accounts SET held_minor = held_minor - 1 WHERE held_minor > 0", "account", "wrong_balance"),
            ("UPDATE transfers SET amount_minor = 1 WHERE kind = 'top_up'", "transfer", "inconsistent"),
            ("UPDATE postings SET late_class = 3 WHERE line = 0", "journal_entry", "inconsistent"),
            ("UPDATE reversals SET reversed_minor = 1", "reversal", "inconsistent"),
            (
                "UPDATE holds SET captured_minor = 299, released_minor = 201 WHERE status = 'captured'",
                "hold",
                "inconsistent",
            ),
            (
                (
                    "INSERT INTO holds SELECT gen_random_uuid(), wallet_id, account_id, to_wallet_id, to_account_id, "
                    "currency, amount_minor, captured_minor, released_minor, status, expires_at, description, "
                    "metadata, steps, journal_entry_ids, created_at, updated_at FROM holds WHERE status = 'open'"
                ),
                "hold",
                "inconsistent",
            ),
            ("UPDATE idempotency_keys SET body = '{' WHERE key = 'first'", "idempotency_key", "malformed"),
        ],
    )
    async def test_and_sums_that_the_chain_does_not_hold_are_checked(
        self, tenancy: Tenancy, full: Bench, change: str, record: str, damage: str
    ) -> None:
        """Balances, sums and copies that follow from the records must be what follows from them."""
        found = await tampered(tenancy, full, change)
        assert (found.damage, found.record) == (damage, record)

    async def test_and_what_rows_repeat_of_the_chain_is_compared(self, tenancy: Tenancy, full: Bench) -> None:
        """Holds, transfers and accounts must say what their movements and entries, and each other, say."""
        wanted = {
            "UPDATE holds SET wallet_id = gen_random_uuid() WHERE status = 'open'": ("hold", "dangling"),
            "UPDATE holds SET status = 'released' WHERE status = 'captured'": ("hold", "inconsistent"),
            "UPDATE transfers SET description = 'else' WHERE description IS NOT NULL": ("transfer", "inconsistent"),
            "UPDATE transfers SET metadata = '{}' WHERE metadata <> '{}'": ("transfer", "inconsistent"),
            "UPDATE accounts SET wallet_id = NULL, code = 'x' WHERE held_minor > 0": ("wallet", "dangling"),
        }
        await tenancy.as_owner(tenancy.tenant, *wanted)
        found = {(finding.record, finding.damage.value) for finding in (await verify(full)).findings}
        assert found >= set(wanted.values())
