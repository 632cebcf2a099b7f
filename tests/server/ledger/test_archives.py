"""Archives, and what the ledger that they have left still says of their entries."""

import asyncio
import contextvars
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from billfold_server.ledger import archives as looking
from billfold_server.ledger.archives import Sums, verify_archive, verify_archives
from tests.server.ledger.giving import reverse
from tests.server.ledger.past import WAITERS, past, tenancy_template
from tests.tenants import Tenancy

__all__ = ["tenancy_template"]


class TestReversalsAndHolds:
    """Reversals and holds."""

    @pytest.mark.parametrize(
        ("statement", "found"),
        [
            ("DELETE FROM reversals", {("2025-01", "dropped", "reversal"), ("2025-02", "dropped", "reversal")}),
            (
                "UPDATE reversals SET reversed_minor = 1",
                {("2025-01", "edited", "reversal"), ("2025-02", "edited", "reversal")},
            ),
            ("UPDATE reversals SET amount_minor = amount_minor + 1", {("2025-01", "edited", "reversal")}),
            (
                (
                    "UPDATE holds SET captured_minor = 0, released_minor = 500, journal_entry_ids = '{}', "
                    "status = 'released'"
                ),
                {("2025-01", "edited", "hold"), ("2025-02", "edited", "hold")},
            ),
            (
                "UPDATE holds SET journal_entry_ids = journal_entry_ids[1:1]",
                {("2025-01", "edited", "hold"), ("2025-02", "edited", "hold")},
            ),
            ("DELETE FROM holds", {("2025-01", "dropped", "hold"), ("2025-02", "dropped", "hold")}),
            (
                "UPDATE holds SET captured_minor = 299, released_minor = 201",
                {("2025-01", "edited", "hold"), ("2025-02", "edited", "hold")},
            ),
            (
                "UPDATE holds SET captured_minor = 301, released_minor = 199",
                {("2025-01", "edited", "hold"), ("2025-02", "edited", "hold")},
            ),
            (
                "ALTER TABLE reversals ALTER reversed_minor DROP NOT NULL; UPDATE reversals SET reversed_minor = NULL",
                {("2025-01", "malformed", "reversal"), ("2025-02", "malformed", "reversal")},
            ),
        ],
    )
    async def test_are_no_other_than_the_entries_have_made(
        self, tenancy: Tenancy, tmp_path: Path, statement: str, found: set[tuple[str, str, str]]
    ) -> None:
        """The tenant's sums are at the least those of the archives' entries, and no more where these are all."""
        books = await past(tenancy)
        archives = [each.archive for each in await books.detach(date(2025, 3, 1), tmp_path)]
        await tenancy.as_owner(books.tenant, statement)
        seen, sums = set(), Sums()
        # What is given twice counts once, and the second time all is known.
        for archive in [*archives, *archives]:
            assert archive is not None
            verified = await verify_archive(books.bench.database, books.tenant, Path(archive), sums)
            seen |= {(verified.month, each.damage.value, each.record) for each in verified.findings}
        assert seen == found

    @pytest.mark.parametrize(
        ("statement", "found"),
        [
            ("UPDATE reversals SET reversed_minor = reversed_minor + 1", {("2025-01", "edited", "reversal")}),
            (
                (
                    "INSERT INTO reversals (journal_entry_id, amount_minor, reversed_minor) "
                    "SELECT entry_id, 7, 1 FROM ledger_checkpoints WHERE number = 2"
                ),
                {("2025-02", "edited", "reversal")},
            ),
            ("UPDATE reversals SET reversed_minor = reversed_minor", set()),
        ],
    )
    async def test_are_exact_where_all_archives_are_given(
        self, tenancy: Tenancy, tmp_path: Path, statement: str, found: set[tuple[str, str, str]]
    ) -> None:
        """With what the ledger keeps of reversing entries they have all; one month alone doesn't say it."""
        books = await past(tenancy)
        await reverse(books.bench, books.first["journal_entry_id"], 5)
        archives = [Path(str(each.archive)) for each in await books.detach(date(2025, 3, 1), tmp_path)]
        await tenancy.as_owner(books.tenant, statement)
        looked = await verify_archives(books.bench.database, books.tenant, archives)
        seen = {(each.month, one.damage.value, one.record) for each in looked.values() for one in each.findings}
        assert seen == found
        assert {each.ok for each in looked.values() if each.findings} <= {False}
        alone = await verify_archives(books.bench.database, books.tenant, archives[1:])
        assert all(each.ok for each in alone.values())

    async def test_are_whole_while_a_month_leaves(
        self, tenancy: Tenancy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """February reverses of January, and is neither in the files that are given nor half gone from the ledger."""
        books = await past(tenancy)
        archives = [Path(str(each.archive)) for each in await books.detach(date(2025, 2, 1), tmp_path)]
        await tenancy.tenants.partition(books.tenant.slug)
        watcher = await asyncpg.connect(tenancy.admin_dsn)
        fetch, looks, leaving = looking._fetch, 0, list[asyncio.Task[Any]]()

        async def meanwhile(*arguments: Any) -> list[asyncpg.Record]:
            nonlocal looks
            rows = await fetch(*arguments)
            looks += arguments[1] == "checkpoint"
            if looks == 2 and not leaving:
                work = books.detach(date(2025, 3, 1))
                leaving.append(asyncio.create_task(work, context=contextvars.Context()))
                while not leaving[0].done() and not await watcher.fetchval(WAITERS, "postings"):
                    await asyncio.sleep(0)
            return rows

        monkeypatch.setattr(looking, "_fetch", meanwhile)
        looked = await verify_archives(books.bench.database, books.tenant, archives)
        assert [one.fact for each in looked.values() for one in each.findings] == []
        assert [each.month for each in await leaving[0]] == ["2025-02"]
        await watcher.close()
