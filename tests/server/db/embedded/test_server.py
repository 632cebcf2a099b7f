"""The embedded PostgreSQL, through what happens to it: starts, kills, company, and places where it can't be."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import asyncpg
import pytest

from billfold_server.db.embedded import (
    DATABASE,
    MAJORS,
    OWNER,
    EmbeddedPostgres,
    NotStarted,
    StartTimedOut,
    folders,
)
from billfold_server.db.embedded.folders import runtime_user
from billfold_server.db.embedded.locks import locked
from billfold_server.db.embedded.server import NO_ANSWER
from tests.pace import until
from tests.postgres import binaries, query
from tests.server.db.embedded.users import (
    USER_OF_THE_DATABASE,
    end,
    home,
    kill,
    lasting,
    leave,
    postmaster,
    processes_in,
    python,
    running,
    said,
)

AS_ROOT = os.geteuid() == 0
only_as_root = pytest.mark.skipif(not AS_ROOT, reason="only root runs PostgreSQL as another user")
only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the folder of another process")


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

    def test_makes_the_cluster_anew_after_a_kill_in_its_middle(self, data_dir, programs_dir):
        """Killed while initdb runs, the next start works and leaves nothing of the attempt."""
        killed = programs_dir / "killed"
        attempt = python("-c", lasting(programs_dir, killed) + USER_OF_THE_DATABASE, str(data_dir))
        until(lambda: any(home(data_dir).glob("init-*/data/base")))
        kill(attempt)
        assert not (home(data_dir) / "data").exists()
        killed.touch()
        with EmbeddedPostgres(data_dir) as server:
            assert query(server.dsn(), "SELECT 1")
            assert not list(home(data_dir).glob("init-*"))


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
            "$$ BEGIN WHILE (pg_stat_file('enough', true)).size IS NULL AND clock_timestamp() < now() + '1 min' "
            "LOOP END LOOP; RETURN clock_timestamp(); END $$",
        )
        ended: list[datetime] = []
        work = threading.Thread(target=lambda: ended.append(query(server.dsn(), "SELECT busy()")[0]["busy"]))
        work.start()
        at_work = "SELECT FROM pg_stat_activity WHERE query = 'SELECT busy()' AND state = 'active'"
        until(lambda: query(server.dsn("postgres"), at_work))
        os.kill(postmaster(data_dir), signal.SIGKILL)
        assert running(data_dir)
        enough = threading.Timer(0.5, (home(data_dir) / "data" / "enough").touch)
        enough.start()
        assert server.ensure()
        enough.join()
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

    def test_delete_it_at_once_as_if_alone(self, data_dir):
        """Several that come upon the same leftovers find them gone, whoever of them was the first."""
        told: list[bool] = []
        for _ in range(30):
            home(data_dir).mkdir(parents=True)
            for name in range(20):
                (home(data_dir) / f"left-{name}").touch()
            with ThreadPoolExecutor(8) as together:
                told += together.map(lambda _: EmbeddedPostgres(data_dir).discard(), range(8))
            assert list(data_dir.iterdir()) == []
        assert told == [True] * 240

    def test_start_it_anew_while_it_is_deleted(self, data_dir, monkeypatch):
        """Who begins while the last one clears up loses the folder from under it, and makes it again."""
        opened, others = EmbeddedPostgres._open_cluster, [EmbeddedPostgres(data_dir) for _ in range(2)]

        def open_and_lose(server):
            cluster = opened(server)
            if others:
                assert others.pop().discard()
            return cluster

        monkeypatch.setattr(EmbeddedPostgres, "_open_cluster", open_and_lose)
        with EmbeddedPostgres(data_dir) as server:
            assert (others, query(server.dsn(), "SELECT 1")[0][0]) == ([], 1)

    @pytest.mark.parametrize("step", [pytest.param("first_closed", marks=only_as_root), "access"])
    def test_start_it_anew_while_it_is_deleted_before_it_is_made(self, data_dir, monkeypatch, step):
        """A folder that goes while it is looked at isn't taken for one that keeps anybody out."""
        place = folders if step == "first_closed" else os
        look, others = getattr(place, step), [EmbeddedPostgres(data_dir)]

        def lose_and_look(looked_at, *more):
            if home(data_dir) in (looked_at if isinstance(looked_at, list) else [looked_at]) and others:
                assert others.pop().discard()
            return look(looked_at, *more)

        home(data_dir).mkdir(parents=True)
        monkeypatch.setattr(place, step, lose_and_look)
        with EmbeddedPostgres(data_dir) as server:
            assert (others, query(server.dsn(), "SELECT 1")[0][0]) == ([], 1)

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
