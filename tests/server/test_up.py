"""``billfold up``, with real processes: what it starts, what it survives, and how it ends."""

import html
import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from billfold_server.connectors.simulator.address import folder_of, read
from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.db.embedded.locks import is_locked
from tests.pace import until
from tests.ports import held
from tests.postgres import binaries, create_database, drop_database, query
from tests.processes import living
from tests.server.upping import (
    SlowRequest,
    Up,
    billfold,
    data_dirs,
    environment,
    is_free,
    pasted,
    refusal,
)

NOBODY = 65534
Folders = Callable[[], Path]


@pytest.fixture(scope="module")
def folders() -> Iterator[Folders]:
    """Data folders for this module's servers."""
    binaries(18)
    with data_dirs() as give:
        yield give


@pytest.fixture(scope="module")
def used(folders: Folders) -> Path:
    """A data folder for servers that come one after the other, so that a database and a sandbox are made once."""
    return folders()


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is nobody else's, also while the server whose it is doesn't listen there."""
    with held(1) as (port,):
        yield port


@pytest.fixture(scope="module")
def up(folders: Folders) -> Iterator[Up]:
    """A server with two workers that tests may hurt as long as it recovers."""
    up = Up(folders(), "--port=0", "--workers=2").ready()
    yield up
    assert up.end() == 0, up.log()


def reads_this_python(user: int) -> bool:
    """Tell whether a user may run this Python with the packages that a server needs."""
    command = [sys.executable, "-c", "import litestar, billfold_server.cli"]
    try:
        done = subprocess.run(
            command, user=user, group=user, extra_groups=[], check=False, capture_output=True, env=environment()
        )
    except PermissionError:
        return False
    return done.returncode == 0


def submit(browser: httpx.Client, page: httpx.Response, path: str, **fields: str) -> httpx.Response:
    """Send the form of a page that goes to a path, with its hidden fields and these."""
    form = page.text.partition(f'{path}"')[2].partition("</form>")[0]
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return browser.post(path, data={name: html.unescape(value) for name, value in hidden} | fields)


@pytest.mark.xdist_group("up")
class TestAServer:
    def test_moves_money_by_the_snippet_that_it_shows(self, up: Up):
        """The Python that is shown runs as pasted, and says what is in the two wallets after a transfer."""
        done = pasted(up.welcome["python"])
        assert done.stderr == ""
        assert done.stdout.split() == ["Everyday", "37.50", "EUR", "Savings", "12.50", "EUR"]

    def test_shows_wallets_by_the_curl_that_it_shows(self, up: Up):
        """The curl that is shown runs as pasted."""
        done = pasted(up.welcome["curl"])
        assert done.stderr == ""
        assert "data" in json.loads(done.stdout)

    def test_lists_wallets_by_the_commands_that_it_shows(self, up: Up, tmp_path: Path):
        """The commands that are shown run as pasted, and log in for those that follow."""
        done = pasted(up.welcome["commands"], XDG_CONFIG_HOME=str(tmp_path))
        assert done.stderr == ""
        logged_in, *wallets = done.stdout.splitlines()
        assert logged_in == f"Logged in to Billfold Sandbox as {up.welcome['client_id']} (profile default)."
        assert any(line.startswith("wal_") for line in wallets), wallets

    def test_names_itself_and_what_it_runs_on(self, up: Up):
        """The one JSON line holds the facts that a program needs."""
        assert up.welcome["event"] == "ready"
        assert up.welcome["base_url"] == f"http://127.0.0.1:{up.port}/t/sandbox"
        assert up.welcome["docs_url"] == f"http://127.0.0.1:{up.port}/t/sandbox/docs"
        assert up.welcome["workers"] == 2
        assert up.welcome["pid"] == up.process.pid
        assert up.welcome["embedded"] is True
        assert up.welcome["warnings"] == []

    def test_keeps_keys_apart_from_what_they_open(self, up: Up):
        """The keys lie wrapped in a database of their own; the tenants' has none."""
        # A token is signed, and the key that does it is sealed.
        client = (up.welcome["client_id"], up.welcome["client_secret"])
        asked = httpx.post(up.welcome["token_url"], data={"grant_type": "client_credentials"}, auth=client)
        assert asked.status_code == 200
        server = EmbeddedPostgres(up.data_dir)
        server.start()
        try:
            wrapped = "SELECT FROM billfold_keys.subject_keys WHERE wrapped IS NOT NULL"
            assert query(server.dsn("billfold_keys"), wrapped)
            theirs = "SELECT FROM pg_catalog.pg_class WHERE relname IN ('subject_keys', 'key_epochs')"
            assert not query(server.dsn("billfold"), theirs)
        finally:
            server.stop()

    def test_keeps_the_credentials_for_its_owner_alone(self, up: Up):
        """The file of the sandbox's credentials is closed to others, and reads as variables of a shell."""
        file = Path(up.welcome["credentials_file"])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        read = pasted(
            f". {shlex.quote(str(file))}; echo $BILLFOLD_BASE_URL $BILLFOLD_CLIENT_ID $BILLFOLD_CLIENT_SECRET"
        )
        assert read.stdout.split() == [up.welcome[name] for name in ("base_url", "client_id", "client_secret")]

    def test_lets_its_customers_sign_in(self, up: Up):
        """By name, password and code, as the command shows them, and no enrolment."""
        shown = json.loads(billfold(f"--data-dir={up.data_dir}", "directory", "customers", "--json").stdout)
        caroline = next(each for each in shown if each["name"] == "caroline")
        with httpx.Client(base_url=up.welcome["base_url"] + "/auth") as browser:
            page = browser.get("/sign-in")
            page = submit(browser, page, "/sign-in", name="caroline", password=caroline["password"])
            done = submit(browser, page, "/sign-in/code", code=caroline["codes"][0])
        assert done.status_code == 303, done.text

    def test_lets_third_parties_of_its_directory_register(self, up: Up):
        """The statement that lies in the folder is believed at the sandbox, for the scopes of its roles."""
        statement = Path(up.welcome["directory"]) / "software" / "pisp" / "software_statement.jwt"
        said = {
            "software_statement": statement.read_text(),
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials", "authorization_code"],
        }
        answer = httpx.post(f"{up.welcome['base_url']}/oauth/register", json=said)
        assert (answer.status_code, answer.json()["scope"]) == (201, "payments")

    def test_is_the_only_one_on_its_data_folder(self, up: Up):
        """A second one is told where the first is, whatever its port."""
        error = refusal(billfold("up", "--json", f"--data-dir={up.data_dir}", "--port=0"))
        assert (error["code"], error["exit_code"]) == ("already_running", 75)
        assert (error["facts"]["url"], error["facts"]["pid"]) == (up.welcome["url"], up.process.pid)

    def test_shares_its_database_with_other_commands(self, up: Up):
        """A command joins the database that runs, and leaves it running."""
        done = billfold(f"--data-dir={up.data_dir}", "tenants", "list", "--json")
        assert [tenant["slug"] for tenant in json.loads(done.stdout)] == ["sandbox"]
        assert up.answers()

    def test_lets_in_a_client_that_a_command_has_made(self, up: Up):
        """A client made beside the running server gets its token at the address that the command has printed."""
        root = f"--data-dir={up.data_dir}"
        made = billfold(root, "clients", "create", "--tenant=sandbox", "--scope=tenant:read", "--json")
        client = json.loads(made.stdout)
        answer = httpx.post(
            client["token_url"],
            data={"grant_type": "client_credentials"},
            auth=(client["client_id"], client["client_secret"]),
        )
        assert (answer.status_code, answer.json()["scope"]) == (200, "tenant:read")

    def test_is_healthy_to_the_doctor(self, up: Up):
        """While it runs, its own port is no obstacle, and every schema is up to date."""
        done = billfold("doctor", "--json", f"--data-dir={up.data_dir}", f"--port={up.port}")
        found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
        assert {name for name, check in found.items() if check["verdict"] == "fail"} == set()
        looked_at = {
            "database",
            "database_space",
            "durability",
            "sizes",
            "clock",
            "rights",
            "schemas",
            "keyring",
            "port",
            "disk",
        }
        assert looked_at <= found.keys()
        assert up.welcome["url"] in found["port"]["sentence"]

    def test_replaces_a_worker_that_is_killed(self, up: Up):
        """After kill -9 of a worker there are two again, and requests never stop being answered."""
        before = set(up.workers())
        os.kill(min(before), signal.SIGKILL)
        assert up.answers()
        until(lambda: len(set(up.workers()) - {min(before)}) == 2)
        assert up.answers()

    def test_replaces_a_decryptor_that_is_killed(self, up: Up):
        """After kill -9 of the process that sees cards there is another, and keys to encrypt to are shown as before."""
        before, shown = up.decryptor(), up.get("/v1/encryption-keys")
        assert before is not None
        os.kill(before, signal.SIGKILL)
        until(lambda: up.decryptor() not in {None, before})
        until(lambda: self.encryption_keys(up) == shown)

    def test_replaces_a_rail_simulator_that_is_killed(self, up: Up):
        """After kill -9 of the simulated rail there is another, where it says that it is."""
        before, folder = up.simulator(), folder_of(up.data_dir)
        assert before is not None
        os.kill(before, signal.SIGKILL)
        until(lambda: (now := up.simulator()) not in {None, before} and (at := read(folder)) and at.pid == now)

    def encryption_keys(self, up: Up):
        """Return the keys to encrypt to, or why they aren't to be had."""
        return httpx.get(f"{up.welcome['base_url']}/v1/encryption-keys", timeout=30).json()

    def test_restarts_its_database_when_that_is_killed(self, up: Up):
        """After kill -9 of PostgreSQL requests are answered again, by the same workers."""
        workers, postmaster = set(up.workers()), up.postmaster()
        os.kill(postmaster, signal.SIGKILL)
        until(lambda: up.has_another(postmaster) and up.answers())
        assert set(up.workers()) == workers
        assert up.get("/v1/tenant")["slug"] == "sandbox"

    def test_follows_its_database_to_another_port(self, up: Up):
        """If another program has taken PostgreSQL's port while it was down, new workers find it at the new one."""
        # Who still starts PostgreSQL after a test before would wait at the taken port for that server's answer.
        until(lambda: not is_locked(up.data_dir / "postgres" / "starting"))
        port = int((up.data_dir / "postgres" / "port").read_text())
        # The parent is held, so that it can't start PostgreSQL before its port is taken.
        up.process.send_signal(signal.SIGSTOP)
        postmaster = up.postmaster()
        os.kill(postmaster, signal.SIGKILL)
        until(lambda: is_free(port))
        with socket.create_server(("127.0.0.1", port)):
            up.process.send_signal(signal.SIGCONT)
            until(lambda: int((up.data_dir / "postgres" / "port").read_text()) != port)
            until(up.answers)
            assert up.get("/v1/tenant")["slug"] == "sandbox"

    def test_warns_when_it_is_open_to_the_network(self, used: Path):
        """A development server that others can reach says so, and names itself by an address that works here."""
        up = Up(used, "--port=0", "--host=0.0.0.0").ready()
        assert len(up.welcome["warnings"]) == 1
        assert up.welcome["url"] == f"http://127.0.0.1:{up.port}"
        assert up.answers()
        assert up.end() == 0


@pytest.mark.xdist_group("up")
class TestAStop:
    def test_finishes_the_request_that_is_under_way(self, used: Path, port: int):
        """SIGTERM closes the port at once, the request is still answered, and nothing is left; the data stays."""
        up = Up(used, f"--port={port}").ready()
        slow = SlowRequest(up)
        up.process.send_signal(signal.SIGTERM)
        until(lambda: is_free(up.port))
        assert slow.finish() == 201
        assert up.ended() == 0
        assert not EmbeddedPostgres(up.data_dir).stop(), "PostgreSQL was left running"
        again = Up(up.data_dir, f"--port={up.port}").ready()
        assert slow.name in [party["name"] for party in again.get("/v1/parties")["data"]]
        assert again.welcome["client_secret"] == up.welcome["client_secret"]
        assert again.end(signal.SIGINT) == 0

    def test_of_all_its_processes_at_once_is_no_trouble(self, used: Path):
        """Whoever signals the whole group stops it as well: nothing is replaced, and nothing is logged as an error."""
        up = Up(used, "--port=0", BILLFOLD_LOG_FORMAT="json").ready()
        before = up.log()
        slow = SlowRequest(up)
        for pid in (up.process.pid, up.decryptor(), up.simulator(), *up.workers()):
            assert pid is not None
            os.kill(pid, signal.SIGTERM)
        until(lambda: up.decryptor() is None and up.simulator() is None)
        assert slow.finish() == 201
        assert up.ended() == 0
        said = up.log().removeprefix(before)
        assert "stopping" in said
        assert "replaced" not in said
        assert '"level": "error"' not in said
        assert '"level":"error"' not in said

    def test_waits_for_no_request_for_ever(self, used: Path):
        """A request that doesn't end is cut off when its time is over."""
        up = Up(used, "--port=0", BILLFOLD_SHUTDOWN_TIMEOUT_S="1").ready()
        slow = SlowRequest(up)
        assert up.end() == 0
        assert slow.is_given_up()

    def test_is_insisted_on_by_a_second_signal(self, used: Path, port: int):
        """A second Ctrl-C waits for no request; PostgreSQL is stopped in good order all the same."""
        up = Up(used, f"--port={port}", BILLFOLD_SHUTDOWN_TIMEOUT_S="600").ready()
        slow = SlowRequest(up)
        up.process.send_signal(signal.SIGINT)
        # What comes at the same moment is the same Ctrl-C, handed on by somebody, and waits as the first does.
        up.process.send_signal(signal.SIGINT)
        until(lambda: is_free(up.port))
        assert up.process.poll() is None

        def ends_when_insisted_on() -> bool:
            up.process.send_signal(signal.SIGINT)
            return up.process.poll() is not None

        until(ends_when_insisted_on)
        assert up.ended() == 128 + signal.SIGINT
        assert slow.is_given_up()
        assert not EmbeddedPostgres(up.data_dir).stop(), "PostgreSQL was left running"

    def test_may_come_before_it_serves(self, folders: Folders):
        """A start that is called off leaves nothing running."""
        up = Up(folders(), "--port=0")
        until(up.workers)
        assert up.end() == 0
        assert not up.welcome
        assert not EmbeddedPostgres(up.data_dir).stop(), "PostgreSQL was left running"


@pytest.mark.xdist_group("up")
class TestAKilledParent:
    def test_is_followed_by_the_next_start_at_once(self, used: Path, port: int):
        """The next start takes the port over and adopts the database, while an old request is still being finished."""
        up = Up(used, f"--port={port}").ready()
        slow = SlowRequest(up)
        workers, postmaster = up.workers(), up.postmaster()
        up.end(signal.SIGKILL)
        again = Up(up.data_dir, f"--port={up.port}").ready()
        assert slow.finish() == 201
        assert again.postmaster() == postmaster
        until(lambda: not living(workers))
        assert slow.name in [party["name"] for party in again.get("/v1/parties")["data"]]
        assert again.end() == 0

    def test_leaves_nothing_behind(self, used: Path, port: int):
        """Its workers end by themselves, and the last one of them stops the database."""
        up = Up(used, f"--port={port}", "--workers=2").ready()
        workers, postmaster = up.workers(), up.postmaster()
        up.end(signal.SIGKILL)
        until(lambda: not living([*workers, postmaster]))
        assert is_free(up.port)


class TestAStartThatCantBe:
    def test_names_who_has_the_port(self, folders: Folders):
        """A port in use is told with the process that has it."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            error = refusal(billfold("up", "--json", f"--data-dir={folders()}", f"--port={port}"))
        assert (error["code"], error["exit_code"], error["facts"]["port"]) == ("port_in_use", 71, port)
        if sys.platform == "linux":
            assert error["facts"]["holder"].startswith(f"{os.getpid()} ")

    def test_names_the_folder_that_it_cant_write_to(self):
        """A data folder that can't be made is told; /proc takes nobody's folders, not even root's."""
        if not Path("/proc/self").exists():
            pytest.skip("/proc is Linux's")
        error = refusal(billfold("up", "--json", "--data-dir=/proc/billfold", "--port=0"))
        assert (error["exit_code"], error["facts"]["data_dir"]) == (73, "/proc/billfold")

    def test_says_it_in_one_sentence(self):
        """People get one line, without a traceback."""
        done = billfold("up", "--data-dir=/dev/null/billfold", "--port=0")
        assert done.returncode == 73
        assert done.stdout == ""
        assert re.fullmatch(r"billfold: [^\n]+\.\n", done.stderr)

    def test_shows_where_it_comes_from_on_demand(self):
        """BILLFOLD_DEBUG=1 adds the traceback."""
        done = billfold("up", "--data-dir=/dev/null/billfold", "--port=0", BILLFOLD_DEBUG="1")
        assert done.returncode == 73
        assert "Traceback" in done.stderr

    def test_names_the_database_that_it_cant_reach(self, folders: Folders):
        """A database that doesn't answer is told with its address."""
        with socket.socket() as nobody_listens:
            nobody_listens.bind(("127.0.0.1", 0))
            where = f"127.0.0.1:{nobody_listens.getsockname()[1]}"
            url = f"postgresql://billfold:secret@{where}/billfold"
            done = billfold("up", "--json", f"--data-dir={folders()}", "--port=0", BILLFOLD_DATABASE_URL=url)
        error = refusal(done)
        assert (error["code"], error["exit_code"], error["facts"]["where"]) == ("database_unreachable", 69, where)
        assert "secret" not in done.stderr

    @pytest.mark.parametrize(
        ("part", "other", "code"),
        [(":secret@", ":wrong@", "database_login_refused"), ("/billfold?", "/elsewhere?", "database_missing")],
    )
    def test_names_what_the_database_refuses(
        self, folders: Folders, postgres: EmbeddedPostgres, part: str, other: str, code: str
    ):
        """A wrong password and a missing database are told apart."""
        url = re.sub(r":[^:@]+@", ":secret@", postgres.dsn()) if part == ":secret@" else postgres.dsn()
        url = url.replace(part, other)
        error = refusal(billfold("up", "--json", f"--data-dir={folders()}", "--port=0", BILLFOLD_DATABASE_URL=url))
        assert (error["code"], error["exit_code"]) == (code, 69)

    def test_counts_connections_before_it_serves(self, folders: Folders, database: str):
        """Workers that would ask for more connections than the database has are refused."""
        arguments = [f"--data-dir={folders()}", "--port=0", "--workers=200"]
        error = refusal(billfold("up", "--json", *arguments, BILLFOLD_DATABASE_URL=database))
        assert (error["code"], error["exit_code"]) == ("too_few_connections", 78)
        assert error["facts"]["needed"] > error["facts"]["usable"] > 0

    def test_leaves_data_of_another_major_version_alone(self, folders: Folders):
        """Data made by PostgreSQL 16 isn't opened by 18."""
        folder = folders()
        with EmbeddedPostgres(folder, binaries=binaries(16), durable=False):
            pass
        error = refusal(billfold("up", "--json", f"--data-dir={folder}", "--port=0"))
        assert (error["code"], error["exit_code"]) == ("postgres_version_mismatch", 65)

    def test_tells_every_wrong_setting(self, folders: Folders):
        """All mistakes come at once, and production refuses what is unsafe."""
        done = billfold("up", "--json", f"--data-dir={folders()}", "--port=0", BILLFOLD_ENVIRONMENT="production")
        error = refusal(done)
        assert (error["code"], error["exit_code"]) == ("settings_invalid", 78)
        assert {"database_url", "keyring_passphrase"} <= set(error["facts"]["keys"].split(", "))


class TestAProductionServer:
    @pytest.fixture
    def production(self, postgres: EmbeddedPostgres, database: str) -> Iterator[dict[str, str]]:
        """Settings that production accepts, on two databases of its own."""
        keys = create_database(postgres)
        yield {
            "BILLFOLD_ENVIRONMENT": "production",
            "BILLFOLD_DATABASE_URL": database,
            "BILLFOLD_KEY_STORE_URL": keys,
            "BILLFOLD_PUBLIC_URL": "https://wallet.example",
            "BILLFOLD_TRUSTED_PROXIES": "127.0.0.1/32",
            "BILLFOLD_KEYRING_PASSPHRASE": "nine tall ships sail at dawn",
            "BILLFOLD_DATABASE_CONNECTIONS": "5",
        }
        drop_database(postgres, keys)

    def test_makes_no_sandbox_and_administers_nothing_without_the_right(
        self, folders: Folders, production: dict[str, str]
    ):
        """Set up with the administrator's URL, it serves with its own login alone, and shows no secret."""
        folder = folders()
        login = billfold(f"--data-dir={folder}", "database-url", "--json", **production)
        url = json.loads(login.stdout)["database_url"]
        assert url.partition("@")[2] == production["BILLFOLD_DATABASE_URL"].partition("@")[2]
        login = billfold(f"--data-dir={folder}", "key-store-url", "--json", **production)
        key_store_url = json.loads(login.stdout)["key_store_url"]
        assert key_store_url.partition("@")[2] == production["BILLFOLD_KEY_STORE_URL"].partition("@")[2]
        logins = {"BILLFOLD_DATABASE_URL": url, "BILLFOLD_KEY_STORE_URL": key_store_url}
        up = Up(folder, "--port=0", **production | logins).ready()
        assert up.welcome["url"] == "https://wallet.example"
        assert {
            up.welcome[name] for name in ("base_url", "client_id", "client_secret", "python", "curl", "commands")
        } == {None}
        assert not (folder / "sandbox.env").exists()
        listed = billfold(f"--data-dir={folder}", "tenants", "list", "--json", **production)
        assert json.loads(listed.stdout) == []
        assert up.end() == 0

    def test_refuses_to_keep_keys_beside_what_they_open(self, folders: Folders, production: dict[str, str]):
        """The tenants' database is no key store, by whatever name it is called, and keeps nothing of the attempt."""
        same = production["BILLFOLD_DATABASE_URL"].replace("127.0.0.1", "localhost")
        assert same != production["BILLFOLD_DATABASE_URL"]
        changed = production | {"BILLFOLD_KEY_STORE_URL": same}
        error = refusal(billfold("up", "--json", f"--data-dir={folders()}", "--port=0", **changed))
        assert (error["code"], error["exit_code"]) == ("key_store_unsuitable", 78)
        assert not query(same, "SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'billfold_keys'")

    def test_refuses_a_keyring_that_others_may_read(self, folders: Folders, production: dict[str, str]):
        """What the doctor says no server can run with, none starts with."""
        folder = folders()
        assert billfold(f"--data-dir={folder}", "database-url", "--json", **production).returncode == 0
        (folder / "keyring.json").chmod(0o644)
        error = refusal(billfold("up", "--json", f"--data-dir={folder}", "--port=0", **production))
        assert (error["code"], error["facts"]["keys"], error["exit_code"]) == ("settings_invalid", "keyring_file", 78)

    def test_refuses_a_database_that_nobody_has_set_up(self, folders: Folders, production: dict[str, str]):
        """A login without rights on a database without Billfold is told what to do first."""
        role = f"nobody_{os.getpid()}"
        url = production["BILLFOLD_DATABASE_URL"]
        query(url, f"CREATE ROLE {role} LOGIN PASSWORD 'q7Jd02kfh3'")
        plain = re.sub(r"//[^@]+@", f"//{role}:q7Jd02kfh3@", url)
        done = billfold(
            "up", "--json", f"--data-dir={folders()}", "--port=0", **production | {"BILLFOLD_DATABASE_URL": plain}
        )
        query(url, f"DROP ROLE {role}")
        error = refusal(done)
        assert (error["code"], error["exit_code"]) == ("database_not_set_up", 78)


class TestAnOrdinaryUser:
    def test_can_run_it_too(self, folders: Folders):
        """Under another user than root everything is that user's, the database included."""
        if os.geteuid() != 0:
            pytest.skip("the other tests are run by an ordinary user already")
        if not reads_this_python(NOBODY):
            pytest.skip("this Python and its packages are closed to other users")
        folder = folders()
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
        up = Up(folder, "--port=0", user=NOBODY).ready()
        assert up.answers()
        assert {path.stat().st_uid for path in folder.rglob("*")} == {NOBODY}
        assert up.end() == 0
