"""The PostgreSQL of the tests themselves."""

import os
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest

from tests import postgres as shared
from tests.postgres import (
    _remove_abandoned,
    create_database,
    drop_database,
    own_data_dir,
    query,
    template_database,
)

LONG_AGO_S = 86_400.0


class TestTheClusterOfTheTests:
    def test_gives_each_test_a_database(self, database):
        """A test's database is its own and empty."""
        assert query(database, "SELECT FROM pg_tables WHERE schemaname = 'public'") == []

    def test_stays_where_it_is_when_memory_runs_short(self, postgres, monkeypatch):
        """What is built later is built beside all the rest, as by a process that begins later."""
        monkeypatch.setattr(shared, "_PLENTY_BYTES", sys.maxsize)

        async def build(_: str) -> None:
            pass

        name = f"template_{uuid.uuid4().hex}"
        assert template_database(postgres, name, build) == name

    def test_builds_a_template_once(self, postgres):
        """A template is built by the first who asks, its copies hold what it holds, and a dropped one is gone."""
        built = []

        async def build(dsn: str) -> None:
            built.append(dsn)
            connection = await asyncpg.connect(dsn)
            await connection.execute("CREATE TABLE kept (n int)")
            await connection.close()

        name = f"template_{uuid.uuid4().hex}"
        copies = [create_database(postgres, template=template_database(postgres, name, build)) for _ in range(2)]
        assert len(built) == 1
        for copy in copies:
            assert query(copy, "SELECT FROM kept") == []
            drop_database(postgres, copy)
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            query(copies[0], "SELECT 1")


class TestWhatAKilledRunHasLeft:
    def test_is_removed_by_several_runs_that_end_at_once(self):
        """One of them is the first at each folder, and the others pass over what isn't there any more."""
        left = [own_data_dir() for _ in range(100)]
        for folder in left:
            (folder / "postgres").mkdir(parents=True)
            os.utime(folder, (LONG_AGO_S, LONG_AGO_S))
        log = left[0].with_name(f"{left[0].name}.log")
        log.touch()
        os.utime(log, (LONG_AGO_S, LONG_AGO_S))
        with ThreadPoolExecutor(4) as runs:
            for run in [runs.submit(_remove_abandoned) for _ in range(4)]:
                run.result()
        # A run of somebody else's that ends just now may be at one of them.
        until = time.monotonic() + 20
        while staying := [each for each in (*left, log) if each.exists()]:
            assert time.monotonic() < until, staying
            time.sleep(0.01)
