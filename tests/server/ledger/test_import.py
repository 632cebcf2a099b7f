"""An export becomes the ledger of another tenant."""

import functools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from billfold import ids
from billfold.chain import Head, verify_export
from billfold.ids import Prefix
from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.invariants.service import check
from billfold_server.keys.service import Keys
from billfold_server.ledger import kinds
from billfold_server.ledger.export import export_ledger, verify_ledger
from billfold_server.ledger.importing import ImportRefusedError, import_ledger
from billfold_server.reconciliation.service import import_file
from billfold_server.tenancy.context import COMMAND_LINE
from tests.server.ledger.books import CALLER, Bench, open_engine
from tests.server.ledger.full import full_books
from tests.server.ledger.giving import accepted
from tests.tenants import Tenancy, manifest, template_with

STATEMENT = Path(__file__).parents[3] / "examples" / "statement_import" / "monday.camt053.xml"


@pytest.fixture(scope="session")
def tenancy_template(postgres: EmbeddedPostgres, tenancy_template: str) -> str:
    """Return the name of a template that has the tenant as well to which books are moved."""
    return template_with(postgres, tenancy_template, "tenancy_elsewhere", manifest("elsewhere"))


@pytest_asyncio.fixture
async def full(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Bench]:
    """Return full books, with a bank statement that was imported."""
    bench = await full_books(tenancy)
    answer = await import_file(
        bench.engine,
        bench.database,
        tenant_keys,
        bench.tenant,
        STATEMENT.read_bytes(),
        caller=CALLER,
        secret=bytes(32),
    )
    assert answer.error is None
    yield bench
    await bench.engine.close()


async def lines_of(bench: Bench) -> list[bytes]:
    """Return the export's lines."""
    return [line async for line in export_ledger(bench.database, bench.tenant)]


async def moved(tenancy: Tenancy, full: Bench) -> Bench:
    """Return the same books at another tenant."""
    other = Bench(full.engine, full.database, await tenancy.registry.get("elsewhere"))
    await import_ledger(other.database, other.tenant, await lines_of(full), caller=COMMAND_LINE)
    other.wallets = full.wallets
    return other


class TestABookThatWasMoved:
    """A book that was moved."""

    async def test_has_the_same_head(self, tenancy: Tenancy, full: Bench) -> None:
        """Number, hash, sequence and all else of the head but its fence are those of the export, and all verifies."""
        other = await moved(tenancy, full)
        heads = []
        for bench in (full, other):
            async with bench.database.tx(bench.tenant) as tx:
                heads += [dict(row) for row in await tx.fetch("SELECT * FROM ledger_head")]
        # What a process knows of one ledger says nothing of another that looks the same.
        assert heads[0].pop("fence") != heads[1].pop("fence")
        assert heads[0] == heads[1]
        assert (await verify_ledger(other.database, other.tenant)).findings == []
        assert await check(other.database, other.tenant) == []

    async def test_is_exported_as_the_same_lines(self, tenancy: Tenancy, full: Bench) -> None:
        """An export of the import says the same to the letter, but for the tenant's name."""
        other = await moved(tenancy, full)
        first, *rest = await lines_of(other)
        mine, *others = await lines_of(full)
        assert rest == others
        assert first == mine.replace(b'"testbank"', b'"elsewhere"')
        assert any(b'"statement_entries"' in line for line in rest)

    async def test_goes_on_where_it_was(self, tenancy: Tenancy, full: Bench) -> None:
        """Wallets, holds and idempotency keys work, and the next batch extends the same chain."""
        other = await moved(tenancy, full)
        before = await verify_ledger(other.database, other.tenant)
        again = await other.top_up(0, 10_000, key="first")
        assert again.replayed
        accepted(await other.transfer(0, 1, 5))
        async with other.database.tx(other.tenant) as tx:
            hold_id = await tx.fetchval("SELECT id FROM holds WHERE status = 'open'")
        accepted(await other.submit(kinds.RELEASE_HOLD, kinds.Release(hold_id)))
        after = await verify_ledger(other.database, other.tenant, trusted=before.head)
        assert (after.findings, after.head.number) == ([], before.head.number + 2)
        assert (await verify_ledger(full.database, full.tenant)).head == before.head

    async def test_ends_its_holds_in_time(self, tenancy: Tenancy, full: Bench) -> None:
        """An open hold with an end brings the job that ends it, though jobs aren't exported."""
        other = await moved(tenancy, full)
        async with other.database.tx(other.tenant) as tx:
            (job,) = await tx.fetch("SELECT due_at, payload FROM jobs WHERE kind = $1", kinds.EXPIRE_HOLD_JOB)
            (hold,) = await tx.fetch("SELECT id, expires_at FROM holds WHERE status = 'open'")
        assert job["due_at"] == hold["expires_at"]
        assert msgspec.json.decode(job["payload"]) == {"hold_id": ids.encode(Prefix.HOLD, hold["id"])}

    async def test_is_told_in_the_audit(self, tenancy: Tenancy, full: Bench) -> None:
        """Who has imported which head, and from where, is on record."""
        other = await moved(tenancy, full)
        async with other.database.tx(other.tenant) as tx:
            rows = await tx.fetch("SELECT actor, facts FROM audit_records WHERE action = 'ledger.imported'")
        head = (await verify_ledger(other.database, other.tenant)).head
        ((actor, facts),) = [(row["actor"], msgspec.json.decode(row["facts"])) for row in rows]
        assert actor == COMMAND_LINE.actor
        assert (facts["from"], facts["link"], facts["hash"]) == ("testbank", head.number, head.hash.hex())


class TestAnImport:
    """An import."""

    async def test_needs_an_empty_tenant(self, tenancy: Tenancy, full: Bench) -> None:
        """A second time, or over a single wallet, nothing is imported."""
        lines = await lines_of(full)
        other = await moved(tenancy, full)
        beginner = Bench(open_engine(tenancy.database), tenancy.database, await tenancy.add("beginner"))
        await beginner.add_wallets(1)
        for bench in (other, beginner):
            before = await lines_of(bench)
            with pytest.raises(ImportRefusedError) as refused:
                await import_ledger(bench.database, bench.tenant, lines, caller=COMMAND_LINE)
            assert refused.value.reason == "tenant_not_empty"
            assert await lines_of(bench) == before
        await beginner.engine.close()

    async def test_writes_nothing_of_an_export_that_is_damaged(self, tenancy: Tenancy, full: Bench) -> None:
        """Edited, cut short, or with a line too many: the tenant stays empty, and the first finding says why."""
        lines = await lines_of(full)
        other = Bench(full.engine, full.database, await tenancy.registry.get("elsewhere"))
        empty = await lines_of(other)
        place = next(at for at, line in enumerate(lines) if line.startswith(b'{"record":"journal_entry"'))
        edited = lines[place].replace(b'"amount_minor":10000', b'"amount_minor":10001')
        assert edited != lines[place]
        damaged = {
            "edited": [*lines[:place], edited, *lines[place + 1 :]],
            "incomplete": lines[:-1],
            "malformed": [*lines[:place], b"{", *lines[place:]],
        }
        for damage, given in damaged.items():
            with pytest.raises(ImportRefusedError) as refused:
                await import_ledger(other.database, other.tenant, given, caller=COMMAND_LINE)
            assert refused.value.reason == "export_damaged"
            assert refused.value.finding is not None
            assert refused.value.finding.damage == damage
            assert await lines_of(other) == empty

    async def test_of_what_the_database_refuses_is_refused(self, tenancy: Tenancy, full: Bench) -> None:
        """What the verification knows nothing of, the tables' constraints still hold."""
        lines = await lines_of(full)
        other = Bench(full.engine, full.database, await tenancy.registry.get("elsewhere"))
        place = next(at for at, line in enumerate(lines) if line.startswith(b'{"record":"party"'))
        lines[place] = lines[place].replace(b'"person"', b'"robot"')
        with pytest.raises(ImportRefusedError) as refused:
            await import_ledger(other.database, other.tenant, lines, caller=COMMAND_LINE)
        assert refused.value.reason == "export_refused"

    async def test_writes_nothing_of_books_that_dont_hold(self, tenancy: Tenancy, full: Bench) -> None:
        """What no chain tells of, other rooms' rows, is held to the invariants before anything is kept."""
        lines = await lines_of(full)
        other = Bench(full.engine, full.database, await tenancy.registry.get("elsewhere"))
        empty = await lines_of(other)
        (place, *_) = [
            at for at, line in enumerate(lines) if b'"statement_entries"' in line and b'"outcome":"suspense"' in line
        ]
        record = msgspec.json.decode(lines[place])
        record["columns"]["amount_minor"] += 1
        lines[place] = msgspec.json.encode(record)
        assert verify_export(lines).ok
        with pytest.raises(ImportRefusedError) as refused:
            await import_ledger(other.database, other.tenant, lines, caller=COMMAND_LINE)
        assert refused.value.reason == "books_broken"
        assert {breach.invariant for breach in refused.value.breaches} == {
            "bank_accounts_equal_their_statements",
            "statement_entries_are_posted",
            "statements_add_up",
            "statements_name_what_they_posted",
            "suspense_equals_unassigned_entries",
        }
        assert await lines_of(other) == empty

    @pytest.mark.parametrize(
        ("kind", "way", "value"),
        [
            ('"record":"head"', ("revision",), 2**70),
            ('"record":"party"', ("version",), 2**70),
            ('"record":"wallet"', ("version",), 2**70),
            ('"record":"wallet"', ("version",), 0),
            ('"record":"wallet"', ("label",), "\0"),
            ('"record":"journal_entry"', ("postings", 0, "amount_minor"), 2**70),
            ('"table":"statement_entries"', ("columns", "amount_minor"), 2**63),
            ('"table":"statement_entries"', ("columns", "position"), 2**70),
            ('"table":"statement_entries"', ("columns", "outcome"), "stolen"),
        ],
    )
    async def test_names_the_line_that_holds_what_no_column_takes(
        self, tenancy: Tenancy, full: Bench, kind: str, way: tuple[str | int, ...], value: object
    ) -> None:
        """Whoever finds it, the verification, the driver or the database, nothing is imported and the line is told."""
        lines = await lines_of(full)
        other = Bench(full.engine, full.database, await tenancy.registry.get("elsewhere"))
        empty = await lines_of(other)
        # The last of its kind, so that others of the same batch come before it.
        place = max(at for at, line in enumerate(lines) if kind.encode() in line)
        record = json.loads(lines[place])
        inner = record
        for name in way[:-1]:
            inner = inner[name]
        inner[way[-1]] = value
        lines[place] = json.dumps(record).encode()
        with pytest.raises(ImportRefusedError) as refused:
            await import_ledger(other.database, other.tenant, lines, caller=COMMAND_LINE)
        told = refused.value.finding
        assert f"line {place + 1} " in refused.value.fact if told is None else told.line == place + 1
        assert await lines_of(other) == empty

    async def test_takes_rows_from_before_a_column_was_there(self, tenancy: Tenancy, full: Bench) -> None:
        """An export of an older version says less of statements and their entries, and is the same books."""
        lines = await lines_of(full)
        other = Bench(full.engine, full.database, await tenancy.registry.get("elsewhere"))
        later = (b'"account_id":null,', b'"withdrawal_id":null,', b'"top_up_id":null,', b'"matched":0,')
        before = []
        for line in lines:
            is_beside = b'"table":"' in line
            before.append(
                functools.reduce(lambda text, one: text.replace(one, b""), later, line) if is_beside else line
            )
        assert all(any(one in line for line in lines) for one in later)
        await import_ledger(other.database, other.tenant, before, caller=COMMAND_LINE)
        assert (await lines_of(other))[1:] == lines[1:]

    @pytest.mark.parametrize("change", ["put in", "taken out"])
    async def test_takes_the_columns_of_a_row_or_none(self, tenancy: Tenancy, full: Bench, change: str) -> None:
        """A column too many, which nobody would keep, or one too few, which may be NULL, is refused by its line."""
        lines = await lines_of(full)
        other = Bench(full.engine, full.database, await tenancy.registry.get("elsewhere"))
        place = max(at for at, line in enumerate(lines) if b'"table":"statement_entries"' in line)
        record = msgspec.json.decode(lines[place])
        if change == "put in":
            record["columns"]["evil"] = 1
        else:
            del record["columns"]["matched_by"]
        lines[place] = msgspec.json.encode(record)
        assert verify_export(lines).ok
        with pytest.raises(ImportRefusedError) as refused:
            await import_ledger(other.database, other.tenant, lines, caller=COMMAND_LINE)
        assert (refused.value.reason, f"line {place + 1} " in refused.value.fact) == ("export_damaged", True)

    async def test_contains_the_head_that_is_trusted(self, tenancy: Tenancy, full: Bench) -> None:
        """Books that don't lead to a head that was kept are refused, however whole they are."""
        lines = await lines_of(full)
        kept = (await verify_ledger(full.database, full.tenant)).head
        other = Bench(full.engine, full.database, await tenancy.registry.get("elsewhere"))
        with pytest.raises(ImportRefusedError) as refused:
            await import_ledger(
                other.database,
                other.tenant,
                lines,
                caller=COMMAND_LINE,
                trusted=Head(number=kept.number, hash=bytes(32)),
            )
        assert refused.value.reason == "export_damaged"
        done = await import_ledger(other.database, other.tenant, lines, caller=COMMAND_LINE, trusted=kept)
        assert done.head == kept
