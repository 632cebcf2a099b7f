"""Files that are read anew when they change: when, and what stays when they can't be used."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billfold_server.http.metrics import Metrics
from billfold_server.http.rotation import End, Kept, Rotation
from billfold_server.settings import Mistake, SettingsInvalid

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Files:
    """Two files that belong together: they hold the same word."""

    def __init__(self, folder: Path) -> None:
        self.paths = [folder / "one", folder / "two"]
        self.reads = 0
        self.write("first")

    def write(self, *words: str) -> None:
        """Write the files, the second one like the first where only that is given."""
        for path, word in zip(self.paths, (words * 2)[:2], strict=True):
            path.write_text(word)

    def read(self) -> str:
        """Read them."""
        self.reads += 1
        words = {path.read_text() if path.exists() else "" for path in self.paths}
        if len(words) > 1:
            raise SettingsInvalid([Mistake("one", "They differ.")])
        return words.pop()

    def keep(self, ends: datetime = NOW + timedelta(days=90)) -> Kept[str]:
        """Return what keeps them."""
        return Kept("pair", self.paths, self.read, ends=lambda word: {word: End(ends)})


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Two files."""
    return Files(tmp_path)


class TestKeptFiles:
    def test_are_read_once_while_they_stay(self, files: Files):
        """Looking at what hasn't changed reads nothing."""
        kept = files.keep()
        assert [kept.look() for _ in range(3)] == [False] * 3
        assert (kept.current, files.reads) == ("first", 1)

    def test_are_read_anew_once_they_have_come_to_rest(self, files: Files):
        """A change is followed when the next look finds the same: two files are seldom changed at once."""
        kept = files.keep()
        files.write("second", "first")
        assert kept.look() is False
        files.write("second")
        assert kept.look() is False, "it has changed since"
        assert kept.look() is True
        assert (kept.current, kept.failure, files.reads) == ("second", None, 2)

    def test_stay_as_they_were_when_the_new_ones_cannot_be_used(self, files: Files):
        """What is broken or gone is said once, and mended it is taken."""
        kept = files.keep()
        for broken in ("second", None):
            if broken is None:
                files.paths[0].unlink()
            else:
                files.write(broken, "first")
            assert [kept.look() for _ in range(4)] == [False] * 4
            assert (kept.current, kept.failure) == ("first", "They differ.")
        assert files.reads == 3
        files.write("third")
        assert [kept.look() for _ in range(2)] == [False, True]
        assert (kept.current, kept.failure) == ("third", None)

    def test_that_go_back_to_what_they_were_are_no_failure(self, files: Files):
        """Files moved away and back again, the very same, count as mended once they are read."""
        kept = files.keep()
        files.paths[0].rename(files.paths[0].with_name("away"))
        assert [kept.look() for _ in range(2)] == [False, False]
        assert kept.failure is not None
        files.paths[0].with_name("away").rename(files.paths[0])
        assert [kept.look() for _ in range(2)] == [False, True]
        assert kept.failure is None

    def test_are_not_kept_that_cannot_be_used_to_begin_with(self, files: Files):
        """A server doesn't start with them."""
        files.write("one", "other")
        with pytest.raises(SettingsInvalid):
            files.keep()


class TestRotation:
    @pytest.mark.parametrize(
        ("left", "warnings"),
        [(timedelta(days=90), []), (timedelta(days=20), ["first_ends_soon"]), (timedelta(0), ["first_ended"])],
    )
    def test_warns_of_ends(self, files: Files, left: timedelta, warnings: list[str]):
        """Three weeks before its end one hears of a certificate, and after it."""
        rotation = Rotation(Metrics())
        rotation.keep(files.keep(NOW + left))
        assert rotation.warnings(NOW) == warnings

    def test_counts_days_and_failures(self, files: Files):
        """Metrics say how long files are good for, and whether a changed one can't be used."""
        metrics = Metrics()
        rotation = Rotation(metrics)
        kept = rotation.keep(files.keep(NOW + timedelta(days=90)))
        files.write("second", "first")
        for _ in range(2):
            rotation._look()
        rotation._count(NOW)
        assert kept.failure is not None
        assert rotation.warnings(NOW) == ["pair_unusable"]
        told = metrics.exposition().decode()
        assert 'billfold_tls_days_left{file="first"} 90.0' in told
        assert 'billfold_tls_changed_file_unusable{file="pair"} 1.0' in told
