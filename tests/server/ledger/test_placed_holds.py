"""What holds were placed as, as records of the chain; and what names whoever changes a hold, or its record."""

# ruff: noqa: S608 - the SQL is the tests' own.

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from billfold import chain, ids
from billfold.chain import Damage, Finding, Head, verify_export
from billfold.chain.records import HoldTermsRecord, LinkRecord, MovementRecord, Record
from billfold.contract.ledger import CreateHold
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.db.personal import Erasing, Subject
from billfold_server.invariants.service import check
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger.books import Draft
from billfold_server.ledger.export import export_ledger, read_ledger, verify_ledger
from billfold_server.ledger.importing import import_ledger
from billfold_server.ledger.subjects import SUBJECTS
from billfold_server.wallets import holds
from tests.parties import add_party
from tests.server.ledger.books import CALLER, Bench, open_engine
from tests.server.ledger.giving import accepted, account, capture, hold
from tests.server.ledger.past import SHORT, past
from tests.tenants import Tenancy

SOON = timedelta(days=30)
WRITTEN: dict[str, Any] = {"description": "deposit", "metadata": {"room": "7"}}


@pytest_asyncio.fixture
async def bench(tenancy: Tenancy) -> AsyncIterator[Bench]:
    """Three wallets, of which the third is another party's, with a hold that has a text and an end, and a plain one."""
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await bench.add_wallets(2, ["EUR"])
    await bench.add_wallets(1, ["EUR"])
    await bench.top_up(0, 1_000)
    await hold(bench, 70, to_wallet_id=bench.wallets[2], expires_at=datetime.now(UTC) + SOON, **WRITTEN)
    await hold(bench, 30)
    await bench.transfer(0, 1, 10)
    yield bench
    await bench.engine.close()


async def records_of(bench: Bench) -> list[Record]:
    """Return the records of the ledger."""
    async with bench.database.tx(bench.tenant, snapshot=True) as tx:
        return [record async for record in read_ledger(tx)]


async def id_of(bench: Bench, amount: int) -> UUID:
    """Return the id of the hold of an amount."""
    async with bench.database.tx(bench.tenant) as tx:
        found: UUID = await tx.fetchval("SELECT id FROM holds WHERE amount_minor = $1", amount)
    return found


async def found_in(bench: Bench) -> list[Finding]:
    """Return what is found live, and see that an export of the same books shows it without a server."""
    findings = (await verify_ledger(bench.database, bench.tenant)).findings
    lines = [line async for line in export_ledger(bench.database, bench.tenant)]
    apart = verify_export(lines).findings
    assert [(one.damage, one.record, one.id, one.fact) for one in apart] == [
        (one.damage, one.record, one.id, one.fact) for one in findings
    ]
    return findings


async def tampered(tenancy: Tenancy, bench: Bench, *statements: str) -> list[Finding]:
    """Change rows behind the engine's back, and return what is found."""
    assert await found_in(bench) == []
    assert await check(bench.database, bench.tenant) == []
    await tenancy.as_owner(tenancy.tenant, *statements)
    return await found_in(bench)


async def broken(bench: Bench) -> set[str]:
    """Return the invariants that don't hold."""
    return {breach.invariant for breach in await check(bench.database, bench.tenant)}


class TestWhatAHoldWasPlacedAs:
    """What a hold was placed as."""

    async def test_is_recorded_with_its_first_movement(self, bench: Bench) -> None:
        """In the same link and right behind; neither what becomes of the hold nor a transfer writes another."""
        await capture(bench, {"id": ids.encode(Prefix.HOLD, await id_of(bench, 70))}, amount_minor=20, final=False)
        accepted(await bench.submit(ledger_kinds.RELEASE_HOLD, ledger_kinds.Release(await id_of(bench, 30))))
        records = await records_of(bench)
        told = [record for record in records if isinstance(record, HoldTermsRecord)]
        assert [record.amount_minor for record in told] == [70, 30]
        assert [(record.text_salt is None, record.text_commitment is None) for record in told] == [
            (False, False),
            (True, True),
        ]
        before = [records[records.index(record) - 1] for record in told]
        assert [(each.hold_id, each.step) for each in before if isinstance(each, MovementRecord)] == [
            (record.hold_id, 0) for record in told
        ]
        assert await found_in(bench) == []
        assert await check(bench.database, bench.tenant) == []

    async def test_is_proven_like_any_record(self, bench: Bench) -> None:
        """By the text of its record and a path to the head, without anybody else's."""
        records = await records_of(bench)
        links = {record.number: record for record in records if isinstance(record, LinkRecord)}
        one = next(record for record in records if isinstance(record, HoldTermsRecord))
        holding = next(link for link in links.values() if one.leaf() in link.stored().split())
        head = Head(number=max(links), hash=links[max(links)].hash)
        stored = {number: link.stored() for number, link in links.items()}
        proof = chain.inclusion_proof(head.number, holding.number, holding.stored().split().index(one.leaf()), stored)
        names = set(HoldTermsRecord.__struct_fields__) - {"text_salt", "text_commitment"}
        facts = {name: getattr(one, name) for name in names}
        chain.verify_inclusion(chain.hold_terms_text(commitment=one.text_commitment, **facts), proof, head)

    async def test_stays_as_it_was_written(self, bench: Bench) -> None:
        """The server itself may do nothing with it but erase the salt."""
        for statement in (
            "UPDATE hold_terms SET expires_at = NULL",
            "UPDATE hold_terms SET text_commitment = NULL",
            "UPDATE hold_terms SET amount_minor = 1",
            "DELETE FROM hold_terms",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with bench.database.tx(bench.tenant) as tx:
                    await tx.execute(statement)
        async with bench.database.tx(bench.tenant) as tx:
            await tx.execute("UPDATE hold_terms SET text_salt = NULL")


class TestWhoeverChangesAHold:
    """Whoever changes a hold."""

    @pytest.mark.parametrize(
        "change",
        [
            "expires_at = expires_at + interval '1 day'",
            "expires_at = NULL",
            "description = NULL, metadata = '{}'",
            "wallet_id = to_wallet_id, to_wallet_id = wallet_id",
            "to_wallet_id = wallet_id",
            "account_id = to_account_id",
            "to_wallet_id = NULL, to_account_id = NULL",
            "currency = 'USD'",
            "amount_minor = 71",
        ],
    )
    async def test_is_found_out(self, tenancy: Tenancy, bench: Bench, change: str) -> None:
        """By its record, whatever it was, and by the daily check."""
        id_ = await id_of(bench, 70)
        findings = await tampered(tenancy, bench, f"UPDATE holds SET {change} WHERE id = '{id_}'")
        assert (Damage.EDITED, "hold", str(id_)) in {(one.damage, one.record, one.id) for one in findings}
        assert "holds_are_as_they_were_placed" in await broken(bench)

    @pytest.mark.parametrize(
        "change",
        [
            "description = 'gift'",
            "description = ''",
            "description = NULL",
            'metadata = \'{"room": "8"}\'',
            "metadata = '{}'",
        ],
    )
    async def test_or_a_part_of_its_text_is_found_out(self, tenancy: Tenancy, bench: Bench, change: str) -> None:
        """By the commitment, which the database can't open by itself."""
        id_ = await id_of(bench, 70)
        found, *others = await tampered(tenancy, bench, f"UPDATE holds SET {change} WHERE id = '{id_}'")
        assert (found.damage, found.record, found.id, others) == (Damage.EDITED, "hold", str(id_), [])

    @pytest.mark.parametrize(
        ("change", "alike"),
        [
            ("expires_at = NULL", "expires_at = NULL"),
            ("wallet_id = wallet_id", "amount_minor = 71"),
            ("description = NULL, metadata = '{}'", "text_salt = NULL, text_commitment = NULL"),
            ("description = 'gift'", "text_salt = NULL, text_commitment = NULL"),
        ],
    )
    async def test_and_its_record_alike_is_found_out_by_the_chain(
        self, tenancy: Tenancy, bench: Bench, change: str, alike: str
    ) -> None:
        """It isn't the record that was committed."""
        id_ = await id_of(bench, 70)
        found = (
            await tampered(
                tenancy,
                bench,
                f"UPDATE holds SET {change} WHERE id = '{id_}'",
                f"UPDATE hold_terms SET {alike} WHERE hold_id = '{id_}'",
            )
        )[0]
        assert (found.damage, found.record, found.id) == (Damage.EDITED, "hold_terms", str(id_))

    async def test_and_drops_its_record_is_found_out_by_the_link(self, tenancy: Tenancy, bench: Bench) -> None:
        """So nobody makes a hold look like one from before there were such records."""
        id_ = await id_of(bench, 70)
        found, *others = await tampered(
            tenancy,
            bench,
            f"UPDATE holds SET expires_at = NULL WHERE id = '{id_}'",
            f"DELETE FROM hold_terms WHERE hold_id = '{id_}'",
        )
        assert (found.damage, found.record, others) == (Damage.DROPPED, "record", [])
        assert f"after hold movement {id_}/0" in found.fact

    async def test_by_giving_text_to_one_that_had_none_is_found_out(self, tenancy: Tenancy, bench: Bench) -> None:
        """No commitment means that there was no text."""
        id_ = await id_of(bench, 30)
        found, *others = await tampered(tenancy, bench, f"UPDATE holds SET description = 'gift' WHERE id = '{id_}'")
        assert (found.damage, found.record, found.id, others) == (Damage.EDITED, "hold", str(id_), [])
        assert "holds_are_as_they_were_placed" in await broken(bench)

    async def test_by_dropping_it_is_found_out(self, tenancy: Tenancy, bench: Bench) -> None:
        """Its movement and its record name it; and where all are gone, the link misses them."""
        id_ = await id_of(bench, 30)
        findings = await tampered(tenancy, bench, f"DELETE FROM holds WHERE id = '{id_}'")
        named = {(one.damage, one.record, one.id) for one in findings}
        assert {(Damage.DANGLING, "hold_movement", f"{id_}/0"), (Damage.DANGLING, "hold_terms", str(id_))} <= named
        assert "holds_are_as_they_were_placed" in await broken(bench)
        gone = [f"DELETE FROM {table} WHERE hold_id = '{id_}'" for table in ("hold_movements", "hold_terms")]
        await tenancy.as_owner(tenancy.tenant, *gone)
        found = (await found_in(bench))[0]
        assert (found.damage, found.record) == (Damage.DROPPED, "record")

    async def test_by_inserting_one_is_found_out(self, tenancy: Tenancy, bench: Bench) -> None:
        """However well its rows go together: none of its records was committed."""
        fake = UUID(int=(await id_of(bench, 30)).int + 1)
        findings = await tampered(
            tenancy,
            bench,
            f"""
            INSERT INTO holds SELECT '{fake}', wallet_id, account_id, to_wallet_id, to_account_id, currency,
                amount_minor, captured_minor, released_minor, status, expires_at, description, metadata, steps,
                journal_entry_ids, created_at, updated_at FROM holds WHERE amount_minor = 30
            """,
            f"""
            INSERT INTO hold_movements SELECT '{fake}', step, account_id, to_account_id, delta_minor,
                held_after_minor + delta_minor, pending_after_minor, effective_at,
                recorded_at + interval '0.000002 seconds'
            FROM hold_movements WHERE delta_minor = 30
            """,
            f"""
            INSERT INTO hold_terms SELECT '{fake}', wallet_id, account_id, to_wallet_id, to_account_id, currency,
                amount_minor, expires_at, text_salt, text_commitment, recorded_at + interval '0.000002 seconds'
            FROM hold_terms WHERE amount_minor = 30
            """,
        )
        named = {(one.record, one.id) for one in findings if one.damage is Damage.INSERTED}
        assert named == {("hold_movement", f"{fake}/0"), ("hold_terms", str(fake))}

    async def test_whose_captures_have_left_the_ledger_is_found_out(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Months leave, and the holds of those months stay with what they were placed as."""
        books = await past(tenancy, await tenancy.add("oldbank", limits=SHORT))
        await books.detach(date(2025, 3, 1), tmp_path)
        assert await books.ok()
        await tenancy.as_owner(books.tenant, "UPDATE holds SET expires_at = '2030-01-01Z'")
        findings = await found_in(books.bench)
        async with books.bench.database.tx(books.tenant) as tx:
            id_ = await tx.fetchval("SELECT id FROM holds")
        assert (Damage.EDITED, "hold", str(id_)) in {(one.damage, one.record, one.id) for one in findings}
        await books.bench.engine.close()


async def forget(bench: Bench, wallet: int) -> None:
    """Erase what the ledger keeps of who owns a wallet, and leave the tombstone."""
    wallet_id = ids.decode(Prefix.WALLET, bench.wallets[wallet])
    async with bench.database.tx(bench.tenant) as tx:
        party_id = await tx.fetchval("SELECT party_id FROM wallets WHERE id = $1", wallet_id)
        wallets = await tx.fetch("SELECT id FROM wallets WHERE party_id = $1", party_id)
        subject = Subject(party_id=party_id, wallet_ids=[row["id"] for row in wallets])
        now = datetime.now(UTC)
        erasing = Erasing(subject=subject, caller=CALLER, reason="asked", now=now, real_now=now)
        assert SUBJECTS.erase is not None
        erased = await SUBJECTS.erase(tx, erasing)
        assert erased["holds"] == 1
        await tx.execute("UPDATE parties SET forgotten_at = now(), external_id = NULL WHERE id = $1", party_id)


class TestTheTextOfAHold:
    """The text of a hold."""

    @pytest.mark.parametrize("wallet", [0, 2])
    async def test_is_erased_with_its_salt(self, tenancy: Tenancy, bench: Bench, wallet: int) -> None:
        """When somebody is forgotten whose wallet it is on or for; the chain holds, and its head is the same."""
        before = await verify_ledger(bench.database, bench.tenant)
        await forget(bench, wallet)
        async with bench.database.tx(bench.tenant) as tx:
            (row,) = await tx.fetch(
                "SELECT h.description, h.metadata::text, t.text_salt, t.text_commitment IS NOT NULL AS committed "
                "FROM holds AS h JOIN hold_terms AS t ON t.hold_id = h.id WHERE h.amount_minor = 70"
            )
        assert tuple(row) == (None, "{}", None, True)
        after = await verify_ledger(bench.database, bench.tenant)
        assert (after.findings, after.head) == ([], before.head)
        assert await check(bench.database, bench.tenant) == []
        found = await tampered(tenancy, bench, "UPDATE holds SET description = 'gift' WHERE amount_minor = 70")
        assert (found[0].damage, found[0].record) == (Damage.EDITED, "hold")

    async def test_is_missed_where_nobody_was_forgotten(self, tenancy: Tenancy, bench: Bench) -> None:
        """Also where somebody was whom the hold doesn't concern."""
        async with bench.database.tx(bench.tenant) as tx:
            stranger = await add_party(tx)
            await tx.execute("UPDATE parties SET forgotten_at = now(), external_id = NULL WHERE id = $1", stranger)
        found, *others = await tampered(
            tenancy,
            bench,
            "UPDATE holds SET description = NULL, metadata = '{}'",
            "UPDATE hold_terms SET text_salt = NULL",
        )
        assert (found.damage, found.record, others) == (Damage.EDITED, "hold", [])
        assert "nobody" in found.fact


@pytest_asyncio.fixture
async def old(tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Books with two holds that a server of an older version has placed, before the tenant was migrated."""
    await tenancy.as_owner(
        tenancy.tenant, "DROP TABLE hold_terms", "DELETE FROM migration WHERE name = 'tenant_0057_hold_terms'"
    )
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await bench.add_wallets(2, ["EUR"])
    await bench.top_up(0, 1_000)
    with monkeypatch.context() as patch:
        patch.setattr(Draft, "record_hold", lambda _draft, _row: None)
        await hold(bench, 70, to_wallet_id=bench.wallets[1], expires_at=datetime.now(UTC) + SOON, **WRITTEN)
        await hold(bench, 50)
    (migrated,) = await tenancy.tenants.migrate([tenancy.tenant.slug])
    assert migrated.error is None
    yield bench
    await bench.engine.close()


class TestHoldsFromBeforeThereWereSuchRecords:
    """Holds from before there were such records."""

    async def test_are_verified_as_they_were(self, tenancy: Tenancy, old: Bench) -> None:
        """They go on, beside new ones that have theirs, in an export and where it is imported, with the same head."""
        assert await found_in(old) == []
        order = {"id": ids.encode(Prefix.HOLD, await id_of(old, 70))}
        await capture(old, order, amount_minor=20, final=False)
        made = await hold(old, 30, to_wallet_id=old.wallets[1], **WRITTEN)
        await capture(old, made, amount_minor=30, final=True)
        accepted(await old.submit(ledger_kinds.RELEASE_HOLD, ledger_kinds.Release(await id_of(old, 50))))
        assert await found_in(old) == []
        assert await check(old.database, old.tenant) == []
        told = [record for record in await records_of(old) if isinstance(record, HoldTermsRecord)]
        assert [record.amount_minor for record in told] == [30]
        lines = [line async for line in export_ledger(old.database, old.tenant)]
        target = await tenancy.add("moved")
        await import_ledger(tenancy.database, target, lines, caller=CALLER)
        there, here = [await verify_ledger(tenancy.database, each) for each in (target, old.tenant)]
        assert (there.findings, there.head) == ([], here.head)
        assert await check(tenancy.database, target) == []

    async def test_lose_their_text_when_somebody_is_forgotten(self, tenancy: Tenancy, old: Bench) -> None:
        """There is no salt to erase with it."""
        await forget(old, 0)
        assert await found_in(old) == []
        # What their captures and movements repeat of them is held as it was, and no more.
        await tenancy.as_owner(old.tenant, "UPDATE holds SET expires_at = expires_at + interval '1 day'")
        assert await found_in(old) == []
        await tenancy.as_owner(old.tenant, "UPDATE holds SET currency = 'USD'")
        assert {one.record for one in await found_in(old)} == {"hold"}


async def test_a_hold_for_an_account_of_the_chart_has_its_terms(bench: Bench) -> None:
    """There is an account that it is for, and no wallet."""
    fees = await account(bench, "fees")
    body = CreateHold(wallet_id=bench.wallets[0], amount=Money(5, "EUR"), to_account_id=fees)
    accepted(await bench.submit(holds.CREATE_HOLD, body))
    (placed,) = [r for r in await records_of(bench) if isinstance(r, HoldTermsRecord) and r.amount_minor == 5]
    assert (placed.to_wallet_id, placed.to_account_id) == (None, ids.decode(Prefix.ACCOUNT, fees))
    assert await found_in(bench) == []
