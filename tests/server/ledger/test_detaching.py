"""Months that leave the ledger, and all that must go on without them."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from asyncpg import CheckViolationError, InsufficientPrivilegeError, UndefinedTableError

from billfold import chain, errors, ids
from billfold.chain import Damage, verify_export
from billfold.chain.records import CheckpointRecord, JournalEntryRecord, LinkRecord, Record, read_record
from billfold.ids import Prefix
from billfold_server.invariants.service import check
from billfold_server.ledger import detaching, queries, service
from billfold_server.ledger.archives import Sums, verify_archive
from billfold_server.ledger.detaching import DetachRefusedError, kept_from
from billfold_server.ledger.export import verify_ledger
from billfold_server.ledger.importing import import_ledger
from billfold_server.tenancy.context import COMMAND_LINE
from tests.server.ledger.giving import accepted, reverse
from tests.server.ledger.past import FEBRUARY, JANUARY, MARCH, SHORT, WAITERS, Past, past, tenancy_template
from tests.tenants import Tenancy

__all__ = ["tenancy_template"]


class TestADetachedMonth:
    """A detached month."""

    async def test_is_kept_in_a_file_of_its_owners(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Nobody else may read it, and its digest stands in the checkpoint."""
        books = await past(tenancy)
        done = await books.detach(date(2025, 3, 1), tmp_path / "archive")
        assert [(each.month, each.journal_entries, each.checkpoint) for each in done] == [
            ("2025-01", 3, 1),
            ("2025-02", 3, 2),
        ]
        assert done[0].archive is not None
        file = Path(done[0].archive)
        assert _mode(file) == 0o600
        records = _read(file)
        assert sum(isinstance(record, JournalEntryRecord) for record in records) == 3

    async def test_leaves_all_balances_as_they_are(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """And verification, export and invariants find nothing wrong, after each further posting."""
        books = await past(tenancy)
        before = [await books.bench.balance(wallet) for wallet in range(3)]
        for month in (date(2025, 2, 1), date(2025, 3, 1), date(2025, 4, 1)):
            await books.detach(month, tmp_path)
            assert [await books.bench.balance(wallet) for wallet in range(3)] == before
            assert await books.ok()
        await books.at(MARCH + timedelta(days=20))
        accepted(await books.bench.transfer(0, 1, 5))
        assert await books.bench.balance(1) == before[1] + 5
        assert await books.ok()

    async def test_stays_in_the_database_without_an_archive(self, tenancy: Tenancy) -> None:
        """Its tables are still there for the owner, and the server may see whose entries they hold, and no more."""
        books = await past(tenancy)
        (done,) = await books.detach(date(2025, 2, 1))
        assert done.archive is None
        assert await books.ok()
        with pytest.raises(InsufficientPrivilegeError):
            async with books.bench.database.tx(books.tenant) as tx:
                await tx.fetch("SELECT amount_minor FROM postings_2025_01")
        with pytest.raises(InsufficientPrivilegeError):
            async with books.bench.database.tx(books.tenant) as tx:
                await tx.fetch("SELECT description FROM journal_entries_2025_01")
        await tenancy.as_owner(books.tenant, "SELECT amount_minor FROM postings_2025_01")

    async def test_is_dropped_once_it_is_archived(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """The file is what there is of it."""
        books = await past(tenancy)
        await books.detach(date(2025, 2, 1), tmp_path)
        with pytest.raises(UndefinedTableError):
            await tenancy.as_owner(books.tenant, "SELECT entry_id FROM postings_2025_01")

    async def test_is_detached_once(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Doing it again does nothing."""
        books = await past(tenancy)
        assert len(await books.detach(date(2025, 2, 1), tmp_path)) == 1
        assert await books.detach(date(2025, 2, 1), tmp_path) == []

    async def test_is_told_of_in_the_audit(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """With who did it and why."""
        books = await past(tenancy)
        await books.detach(date(2025, 2, 1), tmp_path)
        async with books.bench.database.tx(books.tenant) as tx:
            rows = await tx.fetch("SELECT actor, reason FROM audit_records WHERE action = 'ledger.detached'")
        assert [(row["actor"], row["reason"]) for row in rows] == [(COMMAND_LINE.actor, "ten years are over")]

    async def test_leaves_while_the_ledger_goes_on(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """What is posted meanwhile is neither refused nor lost."""
        books = await past(tenancy)
        before = await books.bench.balance(1)

        async def post() -> list[int]:
            return [(await books.bench.transfer(0, 1, 1)).status for _ in range(40)]

        posted, others, gone = await asyncio.gather(post(), post(), books.detach(date(2025, 3, 1), tmp_path))
        assert {*posted, *others} == {201}
        assert [each.month for each in gone] == ["2025-01", "2025-02"]
        assert await books.bench.balance(1) == before + 80
        assert await books.ok()

    @pytest.mark.parametrize("archived", [True, False])
    async def test_leaves_once_where_two_detach_it(self, tenancy: Tenancy, tmp_path: Path, *, archived: bool) -> None:
        """Whoever comes second is refused or finds nothing to do, and neither spoils the other's file."""
        books = await past(tenancy)
        folder = tmp_path if archived else None
        both = [books.detach(date(2025, month, 1), folder) for month in (2, 3, 2)]
        said = await asyncio.gather(*both, return_exceptions=True)
        refused = [each for each in said if isinstance(each, DetachRefusedError)]
        assert {each.reason for each in refused} <= {"under_way", "archive_exists"}
        assert [each for each in said if not isinstance(each, list | DetachRefusedError | errors.Busy)] == []
        done = [each.month for months in said if isinstance(months, list) for each in months]
        assert len(set(done)) == len(done)
        # Who was refused, or waited too long for the others, comes again.
        await books.detach(date(2025, 3, 1), folder)
        assert await books.ok()
        months = ["oldbank-2025-01.jsonl", "oldbank-2025-02.jsonl"] if archived else []
        assert sorted(_files(tmp_path)) == months
        for month in months:
            assert (await verify_archive(books.bench.database, books.tenant, tmp_path / month)).ok

    async def test_leaves_nothing_of_a_file_that_was_not_written_whole(
        self, tenancy: Tenancy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What an attempt has begun goes with it: there may be no other for this month."""
        books = await past(tenancy)

        async def end_early(*_: object) -> AsyncIterator[Record]:
            yield LinkRecord(number=1, recorded_at=JANUARY, leaves=b"", hash=b"")
            assert list(_files(tmp_path)) == ["oldbank-2025-01.part"]
            raise errors.Busy("the database is busy", retry_after_s=1)

        with monkeypatch.context() as patched, pytest.raises(errors.Busy):
            patched.setattr(detaching, "read_entries", end_early)
            await books.detach(date(2025, 2, 1), tmp_path)
        assert _files(tmp_path) == {}
        assert [each.month for each in await books.detach(date(2025, 2, 1), tmp_path)] == ["2025-01"]

    async def test_stays_where_its_file_was_cut(
        self, tenancy: Tenancy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that a disk has lost the end of holds good records and yet not the month, so that isn't dropped."""
        books = await past(tenancy)

        def lose_the_end(part: Path, path: Path) -> None:
            lines = part.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join(lines[:3]))
            part.unlink()

        monkeypatch.setattr(detaching, "_name", lose_the_end)
        with pytest.raises(DetachRefusedError) as refused:
            await books.detach(date(2025, 2, 1), tmp_path)
        assert refused.value.reason == "archive_damaged"
        assert await books.ok()
        assert len([line for line in await books.exported() if b'"record":"checkpoint"' in line]) == 0

    async def test_is_missed_by_no_check_that_begins_meanwhile(self, tenancy: Tenancy) -> None:
        """Books that are looked at while a month leaves are seen with it or without it, and never with half of that."""
        books = await past(tenancy)
        await tenancy.tenants.partition(books.tenant.slug)
        reader, watcher = await asyncpg.connect(tenancy.admin_dsn), await asyncpg.connect(tenancy.admin_dsn)
        reading = reader.transaction()
        await reading.start()
        await reader.execute(f"LOCK TABLE {books.tenant.schema}.postings_2025_01 IN ACCESS SHARE MODE")
        leaving = asyncio.create_task(books.detach(date(2025, 2, 1)))
        while not await watcher.fetchval(WAITERS, "postings_2025_01"):
            await asyncio.sleep(0)
        checking = asyncio.create_task(check(books.bench.database, books.tenant))
        verifying = asyncio.create_task(verify_ledger(books.bench.database, books.tenant))
        while await watcher.fetchval(WAITERS, "postings") < 2 and not (checking.done() or verifying.done()):
            await asyncio.sleep(0)
        await reading.rollback()
        assert [each.month for each in await leaving] == ["2025-01"]
        assert (await checking, (await verifying).findings) == ([], [])
        await reader.close()
        await watcher.close()

    async def test_never_takes_the_place_of_another_file(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """An archive of that name stays, and the month too; one that an attempt before has left is used."""
        books = await past(tenancy)
        file = tmp_path / "oldbank-2025-01.jsonl"
        file.write_text("the only one of its kind")
        with pytest.raises(DetachRefusedError) as caught:
            await books.detach(date(2025, 2, 1), tmp_path)
        assert caught.value.reason == "archive_exists"
        assert _files(tmp_path) == {file.name: "the only one of its kind"}
        file.unlink()
        # The month can't leave now, and its file is there already.
        await tenancy.as_owner(
            books.tenant, "ALTER TABLE ledger_checkpoints ADD CONSTRAINT none CHECK (number < 1) NOT VALID"
        )
        with pytest.raises(CheckViolationError):
            await books.detach(date(2025, 2, 1), tmp_path)
        left = _files(tmp_path)
        assert left.keys() == {file.name}
        await tenancy.as_owner(books.tenant, "ALTER TABLE ledger_checkpoints DROP CONSTRAINT none")
        assert [each.month for each in await books.detach(date(2025, 2, 1), tmp_path)] == ["2025-01"]
        assert _files(tmp_path) == left

    async def test_is_refused_within_the_tenants_retention(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """What the manifest says stays."""
        books = await past(tenancy, await tenancy.add("longbank", limits={"retention_months": 1200}))
        with pytest.raises(DetachRefusedError) as caught:
            await books.detach(date(2025, 2, 1), tmp_path)
        assert caught.value.reason == "retention"

    async def test_is_refused_where_the_ledger_is_damaged(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """A checkpoint never covers what somebody has edited."""
        books = await past(tenancy)
        await tenancy.as_owner(books.tenant, "UPDATE journal_entries SET kind = 'top_up' WHERE sequence = 2")
        with pytest.raises(DetachRefusedError) as caught:
            await books.detach(date(2025, 2, 1), tmp_path)
        assert caught.value.reason == "ledger_damaged"

    @pytest.mark.parametrize(
        ("now", "retention", "first"),
        [
            (datetime(2026, 11, 20, tzinfo=UTC), 1, date(2026, 10, 1)),
            (datetime(2026, 11, 20, tzinfo=UTC), 120, date(2016, 11, 1)),
            (datetime(2026, 1, 1, tzinfo=UTC), 1, date(2025, 12, 1)),
        ],
    )
    def test_lies_before_what_is_kept(self, now: datetime, retention: int, first: date) -> None:
        """The present month and so many before it stay."""
        assert kept_from(now, retention) == first


class TestHistory:
    """History, once its beginning is detached."""

    async def test_is_told_as_of_any_time_that_is_kept(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Also by what was recorded then, with a late posting in between."""
        books = await past(tenancy)
        recorded = [(at, held) for at, held in books.instants if at > FEBRUARY - timedelta(days=1)]
        now = [await books.balances(at) for at, _ in books.instants]
        await books.detach(date(2025, 2, 1), tmp_path)
        assert [await books.balances(None, at) for at, _ in recorded] == [held for _, held in recorded]
        assert [await books.balances(at) for at, _ in recorded] == now[1:]
        # Between the last entry of January and the first of February there is only what came late.
        late = (FEBRUARY - timedelta(days=15), FEBRUARY - timedelta(days=25))
        assert [held[1] for held in [await books.balances(at) for at in late]] == [311, 300]

    @pytest.mark.parametrize("axis", ["effective_at", "recorded_at"])
    async def test_is_refused_before_the_checkpoint(self, tenancy: Tenancy, tmp_path: Path, axis: str) -> None:
        """Rather than told wrong; the error says from when on it can be told."""
        books = await past(tenancy)
        await books.detach(date(2025, 2, 1), tmp_path)
        instants = {"effective_at": None, "recorded_at": None, axis: JANUARY - timedelta(hours=1)}
        with pytest.raises(errors.HistoryDetached) as caught:
            await books.balances(**instants)
        for fact in (caught.value.effective_from, caught.value.recorded_from):
            at = datetime.fromisoformat(str(fact))
            assert JANUARY <= at < FEBRUARY
        earliest = datetime.fromisoformat(str(caught.value.effective_from))
        assert await books.balances(earliest) == [9_700, 300, 0]

    async def test_ends_lists_at_the_checkpoint(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Entries and statements hold what is kept, with the balances that follow."""
        books = await past(tenancy)
        await books.detach(date(2025, 2, 1), tmp_path)
        async with books.bench.database.tx(books.tenant) as tx:
            entries, _ = await queries.list_entries(tx, limit=100)
            (account,) = (
                await service.list_wallet_accounts(tx, [ids.decode(Prefix.WALLET, books.bench.wallets[1])])
            ).popitem()[1]
            lines, _ = await service.statement(tx, [account.id], limit=100, before=None, kind=None, from_=None, to=None)
        assert [entry.sequence for entry in entries] == [7, 6, 5, 4]
        assert [line.balance_after_minor for line in lines] == [374, 381, 370, 400]

    async def test_has_no_detached_entry(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Asking for one, or for its reversal, is refused by name; one that never was isn't there."""
        books = await past(tenancy)
        await books.detach(date(2025, 2, 1), tmp_path)
        entry_id = books.first["journal_entry_id"]
        async with books.bench.database.tx(books.tenant) as tx:
            with pytest.raises(errors.HistoryDetached):
                await service.get_entry(tx, ids.decode(Prefix.JOURNAL_ENTRY, entry_id))
            with pytest.raises(errors.NotFound):
                await service.get_entry(tx, ids.uuid7())
        with pytest.raises(errors.HistoryDetached) as caught:
            await reverse(books.bench, entry_id, 1)
        assert books.bench.status(caught.value) == 410
        reversing = await reverse(books.bench, books.last["journal_entry_id"], 1)
        assert reversing["reverses"] == books.last["journal_entry_id"]
        assert await books.ok()

    async def test_is_still_proven_to_who_holds_the_archive(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Links are never detached, so an archived record leads to today's head."""
        books = await past(tenancy)
        (done,) = await books.detach(date(2025, 2, 1), tmp_path)
        assert done.archive is not None
        records = _read(Path(done.archive))
        link = next(record for record in records if isinstance(record, LinkRecord))
        entry = next(record for record in records if isinstance(record, JournalEntryRecord))
        async with books.bench.database.tx(books.tenant) as tx:
            head = await queries.get_head(tx)
            links = await queries.get_links(tx, chain.links_for_proof(head.number, link.number))
        proof = chain.inclusion_proof(head.number, link.number, link.stored().split().index(entry.leaf()), links)
        chain.verify_inclusion(entry.leaf(), proof, chain.Head(number=head.number, hash=head.hash))


class TestAnArchive:
    """An archive."""

    async def test_is_verified_against_the_ledger_that_it_has_left(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Each is as it was detached, also once what people wrote has been erased in the tenant."""
        books = await past(tenancy)
        done = await books.detach(date(2025, 3, 1), tmp_path)
        await tenancy.as_owner(books.tenant, "UPDATE transfers SET description = NULL, metadata = '{}'")
        sums = Sums()
        for number, each in enumerate(done, 1):
            assert each.archive is not None
            found = await verify_archive(books.bench.database, books.tenant, Path(each.archive), sums)
            assert (found.findings, found.month, found.checkpoint) == ([], each.month, number)
            assert (found.ok, found.journal_entries) == (True, each.journal_entries)

    async def test_names_what_was_changed_in_it(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """Edited, dropped, added, cut short or of another ledger: it is never the file that was sealed."""
        books = await past(tenancy)
        (done,) = await books.detach(date(2025, 2, 1), tmp_path)
        assert done.archive is not None
        file = Path(done.archive)
        lines = [line + b"\n" for line in _files(tmp_path)[file.name].encode().splitlines()]
        places = [at for at, line in enumerate(lines) if line.startswith(b'{"record":"journal_entry"')]
        first, second, last = places
        edited = lines[second].replace(b'"amount_minor":100,', b'"amount_minor":101,')
        assert edited != lines[second]
        said = lines[first].replace(b'"effective_at"', b'"description":"forged","effective_at"', 1)
        spoiled = {
            ("edited", "journal_entry", first + 1): [*lines[:first], said, *lines[first + 1 :]],
            ("edited", "journal_entry", second + 1): [*lines[:second], edited, *lines[second + 1 :]],
            ("dropped", "journal_entry", last + 1): [*lines[:second], *lines[second + 1 :]],
            ("malformed", "line", first + 1): [*lines[:first], b"{\n", *lines[first:]],
            ("incomplete", "end", None): lines[:-1],
            ("inserted", "end", len(lines) + 1): [*lines, lines[-1]],
        }
        for (damage, record, line), given in spoiled.items():
            _write(file, given)
            found = await verify_archive(books.bench.database, books.tenant, file)
            # The line is that of the spoiled file, in which one was taken out before it.
            where = line if damage != "dropped" or line is None else line - 1
            assert (damage, record, where) in {(each.damage, each.record, each.line) for each in found.findings}
            assert ("edited", "checkpoint") in {(each.damage, each.record) for each in found.findings}
            assert not found.ok
        _write(file, lines)
        stranger = await tenancy.add("stranger")
        found = await verify_archive(books.bench.database, stranger, file)
        assert ("dangling", "checkpoint") in {(each.damage, each.record) for each in found.findings}

    @pytest.mark.parametrize(
        ("statement", "damage"),
        [
            ("UPDATE transfers SET amount_minor = amount_minor + 1 WHERE kind = 'transfer'", Damage.EDITED),
            ("UPDATE transfers SET to_wallet_id = gen_random_uuid() WHERE kind = 'top_up'", Damage.EDITED),
            ("DELETE FROM transfers WHERE kind = 'top_up'", Damage.DROPPED),
            (
                """
                INSERT INTO transfers SELECT (jsonb_populate_record(t, jsonb_build_object('kind', 'withdrawal',
                    'from_wallet_id', t.to_wallet_id, 'to_wallet_id', NULL))).* FROM transfers AS t
                WHERE kind = 'top_up'
                """,
                Damage.INSERTED,
            ),
        ],
    )
    async def test_shows_what_was_changed_of_its_transfers(
        self, tenancy: Tenancy, tmp_path: Path, statement: str, damage: Damage
    ) -> None:
        """They stay in the tenant without the entries that they could be compared with there."""
        books = await past(tenancy)
        (done,) = await books.detach(date(2025, 2, 1), tmp_path)
        await tenancy.as_owner(books.tenant, statement)
        assert done.archive is not None
        found = await verify_archive(books.bench.database, books.tenant, Path(done.archive))
        assert {(each.damage, each.record) for each in found.findings} == {(damage, "transfer")}


def forged(statement: str, damage: Damage, record: str) -> Any:
    """Return what somebody does to a checkpoint, and what is found."""
    return pytest.param(statement, damage, record, id=statement[:40])


class TestACheckpoint:
    """A checkpoint."""

    @pytest.mark.parametrize(
        ("statement", "damage", "record"),
        [
            forged("UPDATE checkpoint_balances SET posted_minor = posted_minor + 1", Damage.EDITED, "checkpoint"),
            forged("UPDATE ledger_checkpoints SET sequence = 2", Damage.EDITED, "checkpoint"),
            forged("UPDATE ledger_checkpoints SET archive_digest = NULL", Damage.EDITED, "checkpoint"),
            forged(
                "UPDATE ledger_checkpoints SET recorded_at = recorded_at + interval '1 second'",
                Damage.INSERTED,
                "checkpoint",
            ),
            forged(
                "UPDATE ledger_checkpoints SET effective_high = effective_high - interval '1 day'",
                Damage.EDITED,
                "checkpoint",
            ),
            forged("DELETE FROM ledger_checkpoints", Damage.DROPPED, "journal_entry"),
            forged("DELETE FROM journal_entries WHERE sequence = 4", Damage.DROPPED, "journal_entry"),
        ],
    )
    async def test_is_sealed_by_the_chain(
        self, tenancy: Tenancy, tmp_path: Path, statement: str, damage: Damage, record: str
    ) -> None:
        """Whoever changes one, or what stands behind it, is noticed."""
        books = await past(tenancy)
        await books.detach(date(2025, 2, 1), tmp_path)
        await tenancy.as_owner(books.tenant, statement)
        found = await verify_ledger(books.bench.database, books.tenant)
        assert (damage, record) in {(each.damage, each.record) for each in found.findings}

    async def test_is_not_blamed_for_a_movement_that_was_edited(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """What stays of a detached month is compared with its own leaf, and not taken for an entry that has left."""
        books = await past(tenancy)
        await books.detach(date(2025, 2, 1), tmp_path)
        await tenancy.as_owner(
            books.tenant, "UPDATE hold_movements SET effective_at = effective_at - interval '1 second' WHERE step = 0"
        )
        found = (await verify_ledger(books.bench.database, books.tenant)).findings
        named = [(each.damage, each.record) for each in found]
        # The hold says when it was made.
        assert named == [(Damage.EDITED, "hold_movement"), (Damage.INCONSISTENT, "hold")]

    async def test_cannot_be_made_up_in_an_export(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """With balances and digest that fit each other, it still isn't in the chain."""
        books = await past(tenancy)
        await books.detach(date(2025, 2, 1), tmp_path)

        def forge(record: CheckpointRecord) -> CheckpointRecord:
            balances = [(account, posted + 1) for account, posted in record.balances]
            digest = chain.balances_digest(balances)
            return msgspec.structs.replace(record, balances=balances, balances_digest=digest)

        found = verify_export(_changed(await books.exported(), forge))
        assert (Damage.EDITED, "checkpoint") in {(each.damage, each.record) for each in found.findings}

    async def test_goes_with_an_export(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """The tenant that imports it has the same head, and the history from the checkpoint on."""
        books = await past(tenancy)
        await books.detach(date(2025, 3, 1), tmp_path)
        lines = await books.exported()
        other = await tenancy.add("newbank", limits=SHORT)
        verification = await import_ledger(books.bench.database, other, lines, caller=COMMAND_LINE)
        moved = Past(tenancy, other)
        moved.bench.wallets = books.bench.wallets
        assert verification.head == (await verify_ledger(books.bench.database, books.tenant)).head
        assert await moved.balances(MARCH + timedelta(days=1)) == await books.balances(MARCH + timedelta(days=1))
        with pytest.raises(errors.HistoryDetached):
            await moved.balances(JANUARY)
        assert await moved.ok()


def _changed(lines: list[bytes], change: Callable[[CheckpointRecord], CheckpointRecord]) -> list[bytes]:
    records = [read_record(line) for line in lines]
    return [msgspec.json.encode(change(each) if isinstance(each, CheckpointRecord) else each) for each in records]


def _read(file: Path) -> list[Record]:
    return [read_record(line) for line in file.read_bytes().splitlines()]


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def _files(folder: Path) -> dict[str, str]:
    """Return what lies in a folder."""
    return {each.name: each.read_text() for each in folder.iterdir()}


def _write(file: Path, lines: list[bytes]) -> None:
    """Let a file hold other lines."""
    file.write_bytes(b"".join(lines))
