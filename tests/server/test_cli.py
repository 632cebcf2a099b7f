"""The ``billfold`` command: what every command has in common, and those that need no server."""

import io
import json
import platform
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from click.testing import CliRunner

from billfold.cli.root import partner
from billfold_server import cli
from billfold_server.serving.failures import Exit
from tests.postgres import query
from tests.server.settings_table import PAGE, with_table
from tests.server.upping import billfold, data_dirs, environment, refusal

pytestmark = pytest.mark.xdist_group("command line")


def commands(command: click.Command, ctx: click.Context, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with the words by which it is called."""
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None, name
            yield from commands(inner, ctx, f"{path} {name}")
    else:
        yield path, command


ALL = dict(commands(cli.billfold_command, click.Context(cli.billfold_command), "billfold"))


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder that isn't there yet."""
    with data_dirs() as give:
        yield give()


class TestEveryCommand:
    def test_is_found(self):
        """The names that scripts rely on are there."""
        assert {
            "billfold clients create",
            "billfold doctor",
            "billfold ledger export",
            "billfold ledger verify",
            "billfold openapi",
            "billfold statements import",
            "billfold statements reverse",
            "billfold up",
            "billfold version",
            *(
                f"billfold tenants {each}"
                for each in (
                    "apply",
                    "list",
                    "show",
                    "migrate",
                    "suspend",
                    "resume",
                    "delete",
                    "dead-jobs",
                    "retry-jobs",
                )
            ),
        } <= ALL.keys()

    @pytest.mark.parametrize("path", ALL)
    def test_has_json(self, path: str):
        """Whatever a command does, a program can read its result."""
        options = {option for parameter in ALL[path].params for option in parameter.opts}
        assert "--json" in options

    @pytest.mark.parametrize("path", ALL)
    def test_says_what_it_does(self, path: str):
        """Its help begins with a sentence, has no marks of a page's, and says of each option what it is for."""
        command = ALL[path]
        assert "`" not in (command.help or "")
        assert (command.help or "").splitlines()[0].endswith(".")
        assert [each.name for each in command.params if isinstance(each, click.Option) and not each.help] == []

    def test_is_listed_without_importing_the_rooms(self):
        """The overview names every section, with the sentence that the section's own help begins with."""
        shown = CliRunner().invoke(cli.billfold_command, ["--help"])
        assert shown.exit_code == 0
        for name, section in cli.SECTIONS.items():
            group = cli.billfold_command.get_command(click.Context(cli.billfold_command), name)
            assert group is not None
            assert (group.help or "").splitlines()[0] == section.help
            assert name in shown.output

    def test_refuses_a_wrong_command_line_as_json_too(self):
        """With --json, a mistake in the command line is a document on standard error, as every refusal."""
        error = refusal(billfold("up", "--json", "--port=65536"))
        assert (error["code"], error["exit_code"]) == ("usage", Exit.USAGE)

    def test_says_that_nobody_answers_what_it_asks(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        """Without a terminal a question is a mistake in the command line, and no Ctrl-C."""
        asking = click.Command("asking", callback=lambda: click.prompt("Sure?", err=True))
        monkeypatch.setattr("sys.stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            cli.main(["asking"], further=click.Group(commands=[asking]))
        assert (ended.value.code, "nobody is there" in capsys.readouterr().err) == (Exit.USAGE, True)

    def test_keeps_what_it_logs_out_of_its_result(self, data_dir: Path, database: str):
        """A tenant that can't be read is told on standard error, also to who pipes another one's books elsewhere."""
        there = {"BILLFOLD_DATABASE_URL": database}
        assert billfold(f"--data-dir={data_dir}", "tenants", "list", **there).returncode == 0
        query(
            database,
            "INSERT INTO billfold_platform.tenants (id, slug, state, manifest, revision, created_at, updated_at) "
            "VALUES (gen_random_uuid(), 'odd', 'active', '{}', 1, now(), now())",
        )
        done = billfold(f"--data-dir={data_dir}", "ledger", "export", "--tenant=odd", **there)
        assert (done.stdout, "tenant_unreadable" in done.stderr) == ("", True)

    def test_is_what_is_named_where_something_is_to_be_run(self):
        """Who is told to run a command finds it."""
        sources = Path(cli.__file__).parent.rglob("*.py")
        # A sentence may go on in another literal.
        texts = [re.sub(r'"\s*f?"', "", file.read_text(encoding="utf-8")) for file in sources]
        named = {match for text in texts for match in re.findall(r"\brun (billfold(?: [a-z]+(?:-[a-z]+)*)+)", text)}
        strange = {each for each in named if not any(each.startswith(f"{path} ") or each == path for path in ALL)}
        assert (strange, "billfold tenants migrate" in named) == (set(), True)

    def test_says_where_a_folder_is_named(self):
        """Behind a command without such an option, and before one that asks a tenant, a refusal tells what is meant."""
        error = refusal(billfold("tenants", "list", "--data-dir=elsewhere", "--json"))
        assert "billfold --data-dir=… tenants list" in error["detail"]
        refused = CliRunner().invoke(cli.billfold_command, ["--data-dir=elsewhere", "wallets", "list"], obj=partner)
        assert (refused.exit_code, "--profile" in refused.stderr) == (Exit.USAGE, True)

    def test_imports_no_more_than_it_needs(self):
        """A command that needs no server loads none of it, so that help comes at once."""
        code = "import sys, billfold_server.cli; print(*{'litestar', 'uvicorn', 'piccolo'} & sys.modules.keys())"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment(), capture_output=True, check=True, text=True
        )
        assert done.stdout.split() == []

    def test_tells_its_version(self):
        """The versions of what a report of a mistake should name."""
        assert json.loads(billfold("version", "--json").stdout)["python"] == platform.python_version()


class TestTheDoctor:
    def test_finds_a_fresh_machine_fit(self, data_dir: Path):
        """Before the first start nothing is missing, and looking makes nothing."""
        done = billfold("doctor", "--json", f"--data-dir={data_dir}", "--port=0")
        report = json.loads(done.stdout)
        assert (done.returncode, report["healthy"]) == (0, True)
        assert {"python", "extras", "settings", "data_dir", "disk", "keyring", "port", "database"} <= {
            check["name"] for check in report["checks"]
        }
        assert not data_dir.exists()

    def test_tells_people_one_line_a_check(self, data_dir: Path):
        """Each line begins with the verdict and ends as a sentence."""
        done = billfold("doctor", f"--data-dir={data_dir}", "--port=0")
        lines = done.stdout.splitlines()
        assert lines
        assert {line.split()[0] for line in lines} <= {"ok", "warn"}
        assert [line for line in lines if not line.endswith(".")] == []

    @pytest.mark.parametrize(
        ("variables", "failed"),
        [
            ({"BILLFOLD_DATA_DIR": "/dev/null/billfold"}, {"data_dir"}),
            ({"BILLFOLD_DATABASE_URL": "postgresql://billfold@127.0.0.1:9/billfold"}, {"database"}),
            ({"BILLFOLD_ENVIRONMENT": "production"}, {"settings"}),
            ({"BILLFOLD_WORKERS": "many"}, {"settings"}),
            ({"BILLFOLD_HOST": "192.0.2.1"}, {"port"}),
        ],
    )
    def test_names_what_is_wrong(self, data_dir: Path, variables: dict[str, str], failed: set[str]):
        """What stands in the way of a server fails, by its name, and the exit code says so."""
        done = billfold("doctor", "--json", **{"BILLFOLD_DATA_DIR": str(data_dir), **variables})
        checks = json.loads(done.stdout)["checks"]
        assert done.returncode == Exit.REFUSED
        assert failed <= {check["name"] for check in checks if check["verdict"] == "fail"}

    def test_opens_the_keyring(self, data_dir: Path):
        """A keyring that others may read is told, and one that is damaged fails."""
        data_dir.mkdir(mode=0o711)
        keyring = data_dir / "keyring.json"
        keyring.write_text("{}")
        keyring.chmod(0o644)
        verdict = self._verdict("keyring", data_dir)
        assert verdict == "fail"
        keyring.unlink()
        billfold(f"--data-dir={data_dir}", "tenants", "apply", "demo_bank")
        assert stat.S_IMODE(keyring.stat().st_mode) == 0o600
        keyring.chmod(0o644)
        assert self._verdict("keyring", data_dir) == "warn"

    def test_looks_where_the_keys_are(self, data_dir: Path, database: str):
        """Beside the database they are well; in it, whoever copies that has them, which is told."""
        beside = {"BILLFOLD_DATABASE_URL": database}
        billfold(f"--data-dir={data_dir}", "tenants", "list", **beside)
        assert self._verdict("key_store", data_dir, **beside) == "ok"
        within = beside | {"BILLFOLD_KEY_STORE_URL": database}
        assert self._verdict("key_store", data_dir, **within) == "fail"
        billfold(f"--data-dir={data_dir}", "tenants", "list", **within)
        assert self._verdict("key_store", data_dir, **within) == "warn"

    def test_looks_at_what_the_database_logs(self, data_dir: Path, database: str):
        """Statements hold what people write, so a database that logs those that fail isn't well."""
        there = {"BILLFOLD_DATABASE_URL": database}
        assert self._verdict("logging", data_dir, **there) == "ok"
        query(database, f"ALTER DATABASE {urlsplit(database).path[1:]} SET log_min_error_statement = 'error'")
        assert self._verdict("logging", data_dir, **there) == "warn"

    def test_looks_at_what_the_key_store_logs(self, data_dir: Path, database: str):
        """Wrapped keys stand in its statements, and would be in its log when they are destroyed."""
        there = {"BILLFOLD_DATABASE_URL": database}
        billfold(f"--data-dir={data_dir}", "tenants", "list", **there)
        keys = database.replace(name := urlsplit(database).path[1:], f"{name}_keys")
        query(keys, f"ALTER DATABASE {name}_keys SET log_statement = 'all'")
        assert self._verdict("keys_logging", data_dir, **there) == "warn"
        assert self._verdict("key_store", data_dir, **there) == "ok"

    def _verdict(self, name: str, data_dir: Path, **variables: str) -> str:
        done = billfold("doctor", "--json", f"--data-dir={data_dir}", "--port=0", **variables)
        (verdict,) = {check["verdict"] for check in json.loads(done.stdout)["checks"] if check["name"] == name}
        return str(verdict)


class TestAFolderWithoutADeployment:
    @pytest.mark.parametrize(
        "command",
        [
            ["tenants", "list"],
            ["clients", "list", "--tenant=sandbox"],
            ["clients", "create", "--tenant=sandbox", "--scope=all"],
            ["ledger", "verify", "--tenant=sandbox"],
            ["portal"],
            ["database-url"],
            ["adopt-keyring"],
        ],
        ids=" ".join,
    )
    @pytest.mark.parametrize("exists", [True, False], ids=["empty", "absent"])
    def test_is_named_and_left_as_it_is(self, data_dir: Path, command: list[str], *, exists: bool):
        """What only looks at a deployment doesn't begin one: it may be another folder that is meant."""
        if exists:
            data_dir.mkdir()
        error = refusal(billfold(f"--data-dir={data_dir}", *command, "--json"))
        assert (error["code"], error["facts"]["data_dir"]) == ("no_deployment", str(data_dir))
        assert error["detail"].startswith(f"There is no Billfold in {data_dir} yet")
        assert data_dir.exists() is exists
        assert not exists or not list(data_dir.iterdir())

    def test_may_be_given_its_first_operator(self, data_dir: Path):
        """The platform's people and programs may be there before any tenant is."""
        begun = billfold(f"--data-dir={data_dir}", "users", "create", "ada", "--name=Ada", "--platform", "--json")
        assert (begun.returncode, (data_dir / "postgres" / "data").exists()) == (0, True), begun.stderr


class TestALostKeyring:
    def test_is_told_before_anything_is_changed(self, data_dir: Path):
        """Commands refuse and doctor fails, with the way out, until the keyring is back or another one is adopted."""
        assert billfold(f"--data-dir={data_dir}", "tenants", "apply", "demo_bank").returncode == 0
        keyring = data_dir / "keyring.json"
        kept = keyring.read_bytes()
        keyring.unlink()
        assert self._failed(data_dir) == ["logins"]
        assert not keyring.exists()
        for command in (["tenants", "list", "--json"], ["up", "--json", "--port=0"]):
            error = refusal(billfold(f"--data-dir={data_dir}", *command))
            assert (error["code"], error["exit_code"]) == ("keyring_differs", 78)
            assert "billfold adopt-keyring" in error["detail"]
            assert not keyring.exists()
        keyring.write_bytes(kept)
        assert self._failed(data_dir) == []
        keyring.unlink()
        adopted = billfold(f"--data-dir={data_dir}", "adopt-keyring", "--json")
        assert json.loads(adopted.stdout) == {"keyring": str(keyring), "adopted": True}
        assert self._failed(data_dir) == []

    def test_is_replaced_by_an_administrator_alone(self, data_dir: Path, database: str):
        """The server's own login sets nobody's password."""
        shown = billfold(f"--data-dir={data_dir}", "database-url", "--json", BILLFOLD_DATABASE_URL=database)
        url = json.loads(shown.stdout)["database_url"]
        error = refusal(billfold(f"--data-dir={data_dir}", "adopt-keyring", "--json", BILLFOLD_DATABASE_URL=url))
        assert (error["code"], error["exit_code"]) == ("administrator_needed", 77)

    def _failed(self, data_dir: Path) -> list[str]:
        done = billfold("doctor", "--json", f"--data-dir={data_dir}", "--port=0")
        return [check["name"] for check in json.loads(done.stdout)["checks"] if check["verdict"] == "fail"]


_ENDLESS = """
import asyncio, click, signal, time
from billfold_server import cli

# As at a terminal, also where all of this was started in the background, which has Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

@click.group()
def further(): pass

@further.command()
def wait():
    async def run():
        starting = asyncio.create_task(asyncio.to_thread(time.sleep, 0.3))
        try:
            print("begun", flush=True)
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await starting
            print("taken back", flush=True)
            raise
    asyncio.run(run())

cli.main(["wait"], further=further)
"""


class TestACommandThatIsAskedToEnd:
    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_takes_back_what_it_has_begun(self, number: signal.Signals):
        """A database that it has started is stopped, and half a file goes, whoever asks; the exit code says how."""
        command = [sys.executable, "-c", _ENDLESS]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            process.send_signal(number)
            assert process.stdout.read() == "taken back\n"
        assert process.returncode == 128 + number

    @pytest.mark.parametrize("command", ["doctor", "tenants list"])
    @pytest.mark.parametrize("hears_ctrl_c", [True, False], ids=["in a terminal", "in the background of a script"])
    def test_leaves_no_database_running(self, data_dir: Path, command: str, hears_ctrl_c: bool):  # noqa: FBT001
        """Asked to end while the embedded database starts, it stops that again, which nobody else would."""
        assert billfold(f"--data-dir={data_dir}", "tenants", "apply", "demo_bank").returncode == 0
        postmaster = data_dir / "postgres" / "data" / "postmaster.pid"
        assert not postmaster.exists()
        line = [sys.executable, "-m", "billfold", f"--data-dir={data_dir}", *command.split()]
        # A shell's trap is the way to hand that on: between fork and exec Python may not run beside threads.
        shell_line = ["sh", "-c", f'trap {"-" if hears_ctrl_c else repr("")} INT; exec "$@"', "sh", *line]
        with subprocess.Popen(shell_line, env=environment(), stdout=subprocess.DEVNULL) as process:
            while not postmaster.exists() and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
        assert (process.returncode, postmaster.exists()) == (128 + signal.SIGTERM, False)


def shell(line: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of a shell's in which ``billfold`` is the command as it is installed."""
    named = f'billfold() {{ "{sys.executable}" -m billfold "$@"; }}; {line}'
    known = environment(**variables)
    return subprocess.run(["bash", "-c", named], env=known, capture_output=True, text=True, timeout=100, check=False)


class TestItsStreams:
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_are_told_of_where_nothing_can_be_written(self, data_dir: Path, database: str, unbuffered: str):
        """An export that finds no room says so and exits with 74, also where Python would have kept that to itself."""
        there = {"BILLFOLD_DATABASE_URL": database, "PYTHONUNBUFFERED": unbuffered}
        assert billfold(f"--data-dir={data_dir}", "tenants", "apply", "demo_bank", **there).returncode == 0
        export = f"billfold --data-dir={data_dir} audit export --tenant=demo_bank"
        full = shell(f"{export} >/dev/full", **there)
        assert full.returncode == Exit.IO
        assert full.stderr == "billfold: What was to be written can't be (No space left on device).\n"
        unread = shell(f"{export} | true; exit ${{PIPESTATUS[0]}}", **there)
        assert (unread.returncode, unread.stderr) == (141, "")

    def test_are_written_whole_or_told_of(self):
        """Also unbuffered, a result that is longer than its reader's patience doesn't end as if all were there."""
        done = shell("billfold openapi | head -1; exit ${PIPESTATUS[0]}", PYTHONUNBUFFERED="1")
        assert (done.returncode, done.stdout, done.stderr) == (141, "openapi: 3.1.0\n", "")

    @pytest.mark.parametrize("to", ["2>/dev/full", "2> >(exec true)", "2>&-"])
    def test_of_errors_need_no_hearer(self, to: str):
        """With what a command exits doesn't hang on whether anybody can be told why."""
        assert shell(f"billfold vault policies {to}", BILLFOLD_PORT="many").returncode == Exit.SETTINGS
        assert shell(f"billfold up --port=x {to}").returncode == Exit.USAGE

    def test_may_be_closed(self):
        """Whoever closes them gets what they do without, and no file of ours takes their place."""
        silent = shell("billfold version <&- >&- 2>&-")
        assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
        asked = shell("billfold keys shred --tenant=x --party=par_x --reason=r --as=ada --json <&-")
        assert asked.returncode == Exit.USAGE
        assert "nobody is there" in json.loads(asked.stderr.partition(": ")[2])["error"]["detail"]
        opened = 'import os, billfold.__main__ as m; m._have_streams(); os.write(2, b"%d" % os.open("/", os.O_RDONLY))'
        assert shell(f"'{sys.executable}' -c '{opened}' <&- >&-").stderr == "3"


class TestThePageOnDeploying:
    def test_lists_every_setting_as_the_code_has_it(self):
        """Names, defaults and meanings follow the code; ``python -m tests.server.settings_table`` writes them anew."""
        text = PAGE.read_text(encoding="utf-8")
        assert with_table(text) == text

    def test_lists_every_exit_code(self):
        """Whoever writes a unit file finds each code that a command may end with."""
        text = PAGE.read_text(encoding="utf-8")
        assert set(re.findall(r"^\| (\d+) \| ", text, flags=re.MULTILINE)) == {str(int(code)) for code in Exit}


class TestOpenapi:
    def test_exports_what_is_committed(self, tmp_path: Path):
        """What is written is the committed document, and a file that isn't is refused."""
        other = tmp_path / "other.yaml"
        error = refusal(billfold("openapi", "--check", "--json", str(other)))
        assert (error["code"], error["exit_code"]) == ("openapi_differs", Exit.REFUSED)
        assert billfold("openapi", str(other)).returncode == 0
        assert other.read_bytes() == (PAGE.parents[1] / "openapi" / "billfold.yaml").read_bytes()

    def test_names_what_is_none(self, tmp_path: Path):
        """A file that isn't even text is another one, and no mistake of ours."""
        other = tmp_path / "other.yaml"
        other.write_bytes(b"\xff\xfe\0")
        assert refusal(billfold("openapi", "--check", "--json", str(other)))["code"] == "openapi_differs"

    def test_leaves_what_was_there_where_it_can_not_write(self, tmp_path: Path):
        """A file whose place can't be taken stays as it was, and nothing lies beside it."""
        file = tmp_path / "billfold.yaml"
        file.write_text("of yesterday")
        limited = shell(f"ulimit -f 100; billfold openapi --json {file}")
        assert (limited.returncode, json.loads(limited.stderr)["error"]["code"]) == (Exit.IO, "io_failed")
        assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("billfold.yaml", "of yesterday")]

    def test_exports_json_too(self):
        """With --json the same document is JSON."""
        document = json.loads(billfold("openapi", "--json").stdout)
        assert document["openapi"].startswith("3.1")
        assert "/v1/wallets" in document["paths"]


class TestTenants:
    def test_start_the_database_for_as_long_as_they_need_it(self):
        """Without a running server a command starts the embedded database, keeps what it did, and stops it again."""
        with data_dirs() as give:
            root = f"--data-dir={give()}"
            begun = billfold(root, "tenants", "apply", "demo_bank")
            assert begun.returncode == 0, begun.stderr
            assert f"there was nothing in {root.partition('=')[2]} yet" in begun.stderr
            listed = billfold(root, "tenants", "list", "--json")
            assert [tenant["slug"] for tenant in json.loads(listed.stdout)] == ["demo_bank"]
