"""What the embedded PostgreSQL takes of the machine."""

import os
from pathlib import Path

import pytest

from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.db.embedded.sizing import Machine, look_at_machine, sizes
from tests.postgres import query

GIB = 1024**3


class TestTheSizes:
    @pytest.mark.parametrize(
        ("memory", "buffers"),
        [
            (0, "128MB"),
            (GIB // 4, "128MB"),
            (2 * GIB, "128MB"),
            (4 * GIB, "256MB"),
            (8 * GIB, "512MB"),
            (16 * GIB, "1024MB"),
            (1024 * GIB, "1024MB"),
        ],
    )
    def test_follow_memory_within_bounds(self, memory: int, buffers: str):
        """A sixteenth of the memory is for pages, never less than PostgreSQL's default nor more than 1 GB."""
        assert sizes(Machine(memory_bytes=memory, disk_bytes=0))["shared_buffers"] == buffers

    @pytest.mark.parametrize(
        ("disk", "wal"),
        [(0, "1024MB"), (8 * GIB, "1024MB"), (16 * GIB, "2048MB"), (32 * GIB, "4096MB"), (1024 * GIB, "4096MB")],
    )
    def test_follow_the_disk_within_bounds(self, disk: int, wal: str):
        """An eighth of what is free is for the write-ahead log, never less than the default nor more than 4 GB."""
        assert sizes(Machine(memory_bytes=0, disk_bytes=disk))["max_wal_size"] == wal

    def test_are_of_a_machine_that_is_looked_at(self, tmp_path: Path):
        """Memory is what the system has at most, and the disk has what is free on it; a missing folder is no error."""
        found = look_at_machine(tmp_path)
        assert 0 < found.memory_bytes <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert found.disk_bytes > 0
        assert look_at_machine(tmp_path / "missing").disk_bytes == 0

    def test_are_what_the_server_runs_with(self, server: EmbeddedPostgres, data_dir: Path):
        """PostgreSQL has what its machine gives it; free space may have changed since it was started."""
        names = ["shared_buffers", "max_wal_size"]
        found = query(
            server.dsn(),
            "SELECT name, pg_size_bytes(current_setting(name)) AS bytes FROM unnest($1::text[]) AS name",
            names,
        )
        bytes_ = {row["name"]: row["bytes"] for row in found}
        expected = sizes(look_at_machine(data_dir))
        assert bytes_["shared_buffers"] == int(expected["shared_buffers"].removesuffix("MB")) * 1024**2
        assert GIB <= bytes_["max_wal_size"] <= 4 * GIB

    def test_are_the_least_for_throw_away_clusters(self, postgres: EmbeddedPostgres):
        """A cluster that gives up durability is one of several on its machine."""
        assert query(postgres.dsn("postgres"), "SHOW shared_buffers")[0][0] == "128MB"
