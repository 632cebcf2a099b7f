"""What a test run that was killed has left is taken away by a later one, and by itself where it ends early."""

import asyncio
import os
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from billfold_server.db.embedded import scratch_data_dir
from billfold_server.serving.testing.folders import discard, discard_abandoned, folder_of
from billfold_server.serving.testing.platform import open_testing

LONG_AGO_S = 86_400.0


class TestWhatAKilledRunHasLeft:
    @pytest.mark.parametrize("place", [Path("/dev/shm"), scratch_data_dir("x").parent], ids=["memory", "disk"])  # noqa: S108 - The names in it can't be guessed.
    def test_is_taken_away_wherever_it_lies(self, place: Path):
        """In memory also when there is no longer plenty of it, which may be because of what was left there."""
        if not place.is_dir():
            pytest.skip(f"needs {place}")
        left, fresh = (place / scratch_data_dir(f"pytest-{secrets.token_hex(10)}").name for _ in range(2))
        try:
            for each in (left, fresh):
                each.mkdir()
            os.utime(left, (LONG_AGO_S, LONG_AGO_S))
            discard_abandoned()
            assert (left.exists(), fresh.exists()) == (False, True)
        finally:
            shutil.rmtree(left, ignore_errors=True)
            shutil.rmtree(fresh, ignore_errors=True)

    def test_is_no_link_that_leads_to_data(self, tmp_path: Path):
        """Anybody may put one there, since all write to these places; what it leads to isn't for throwing away."""
        (tmp_path / "postgres").mkdir()
        (tmp_path / "requests").mkdir()
        os.utime(tmp_path, (LONG_AGO_S, LONG_AGO_S))
        link = folder_of(secrets.token_hex(10))
        link.symlink_to(tmp_path)
        os.utime(link, (LONG_AGO_S, LONG_AGO_S), follow_symlinks=False)
        try:
            discard_abandoned()
            assert sorted(each.name for each in tmp_path.iterdir()) == ["postgres", "requests"]
        finally:
            link.unlink()


class TestARun:
    def test_is_taken_away_by_several_at_once(self):
        """Its last processes often end together; whatever one of them has deleted, the others don't miss."""
        folder = folder_of(secrets.token_hex(10))
        for _ in range(20):
            for number in range(200):
                part = folder / ("postgres" if number % 2 else f"process-{number % 8}")
                part.mkdir(parents=True, exist_ok=True)
                (part / f"file-{number}").touch()
            with ThreadPoolExecutor(8) as together:
                list(together.map(discard, [folder] * 8))
            assert not folder.exists()

    def test_leaves_nothing_when_it_is_ended_while_it_begins(self):
        """By Ctrl-C the portal in which it opens breaks every wait off, while a thread still starts the cluster."""
        run = secrets.token_hex(10)

        async def interrupted() -> None:
            with anyio.CancelScope() as scope:
                asyncio.get_running_loop().call_later(0.05, scope.cancel)
                async with open_testing(run=run):
                    pytest.fail("it was to be ended before")

        # Ends only when all threads of the loop have.
        asyncio.run(interrupted())
        assert not folder_of(run).exists()
