"""The root of the command line, alone and beside the server's commands."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from billfold import __version__
from billfold.cli.root import OPERATORS, partner
from billfold_server import cli
from tests.announcing import announce
from tests.sdk.cli.answering import Answering, give

ROOT = Path(__file__).parents[3]


def billfold(
    folder: Path, *arguments: str, before: str = "pass", output: str = "", **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own, with the server installed beside it; its output may go to a file."""
    path = os.pathsep.join(map(str, (announce(folder), ROOT / "sdk", ROOT / "server")))
    script = f"import sys; {before}; from billfold.__main__ import main; main()"
    with Path(output).open("w", encoding="utf-8") if output else contextlib.nullcontext(subprocess.PIPE) as stdout:
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "80", **variables},
        )


class TestTheRoot:
    def test_knows_what_operators_have(self):
        """The names that resources give way to are those of the server's commands."""
        assert cli.SECTIONS.keys() | cli.billfold_command.commands.keys() == OPERATORS

    def test_is_shown_beside_the_servers_commands(self, tmp_path: Path, server: Answering):
        """With the server installed, both are one command: its overview names all, and a resource answers."""
        server.say({"data": [], "next_cursor": None})
        helped = billfold(tmp_path, "--help")
        lines = {line.split()[0] for line in helped.stdout.splitlines() if line.strip()}
        assert {*OPERATORS, *partner.list_commands(click.Context(partner))} <= lines
        assert max(map(len, helped.stdout.splitlines())) <= 80

    @pytest.mark.parametrize("arguments", [["--help"], ["version"], ["wallets", "list", "--json"], ["doctor"]])
    def test_ends_quietly_without_a_reader(self, tmp_path: Path, server: Answering, arguments: list[str]):
        """Where whoever read the output has gone, as `| head` does, it ends as by SIGPIPE, without a word."""
        server.say({"data": [], "next_cursor": None})
        path = os.pathsep.join(map(str, (announce(tmp_path), ROOT / "sdk", ROOT / "server")))
        reader, writer = os.pipe()
        os.close(reader)
        run = subprocess.run(
            [sys.executable, "-m", "billfold", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": path, **server.environment},
        )
        os.close(writer)
        assert (run.returncode, run.stderr) == (141, "")

    def test_works_without_the_servers_libraries(self, tmp_path: Path, server: Answering):
        """With click alone, resources answer, and operators' commands say what they need."""
        server.say({"data": [], "next_cursor": None})
        without = "sys.modules.update(litestar=None, rich=None)"
        listed = billfold(tmp_path, "wallets", "list", "--json", before=without, **server.environment)
        assert (listed.returncode, listed.stderr) == (0, "")
        assert json.loads(listed.stdout) == {"data": [], "next_cursor": None}

    @pytest.mark.parametrize("before", ["pass", "sys.modules.update(litestar=None)"], ids=["mounted", "alone"])
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_says_that_the_output_cannot_be_written(
        self, tmp_path: Path, server: Answering, before: str, unbuffered: str
    ):
        """A disk that is full is no mistake of ours, and nothing is said of it twice, neither by us nor by Python."""
        server.say({"data": [], "next_cursor": None})
        known = {**server.environment, "PYTHONUNBUFFERED": unbuffered}
        ended = billfold(tmp_path, "events", "list", "--json", before=before, output="/dev/full", **known)
        assert ended.returncode == 74
        error = json.loads(ended.stderr)["error"]
        assert (error["code"], error["exit_code"]) == ("io_failed", 74)

    @pytest.mark.parametrize("form", [[], ["--json"]])
    def test_writes_names_to_a_terminal_that_has_no_characters_for_them(
        self, tmp_path: Path, server: Answering, form: list[str]
    ):
        """An order that was carried out doesn't end as one that failed, and a document stays one."""
        server.say({"id": "par_1", "name": "李 🎉"})
        done = billfold(tmp_path, "get", "/v1/parties/par_1", *form, PYTHONIOENCODING="latin-1", **server.environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert r"\u674e \ud83c\udf89" in done.stdout
        assert not form or json.loads(done.stdout)["name"] == "李 🎉"

    def test_ends_silently_when_it_is_interrupted_while_it_loads(self, tmp_path: Path):
        """Ctrl-C right after a command was given shows no page of where it came to."""
        interrupt = (
            "import billfold._server as s, signal; "
            # A shell lets what it runs in the background hear nothing of Ctrl-C.
            "signal.signal(signal.SIGINT, signal.default_int_handler); "
            "s.load = lambda *_, **__: signal.raise_signal(signal.SIGINT)"
        )
        done = billfold(tmp_path, "version", before=interrupt)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")

    @pytest.mark.parametrize("name", ["up", "clients"])
    def test_says_what_operators_commands_need(self, name: str):
        """Where the server isn't installed, each ends with 69, and a resource of that name is elsewhere."""
        done = give(None, name)
        assert done.exit_code == 1
        assert getattr(done.exception, "exit_code", None) == 69

    def test_tells_its_version_without_the_server(self):
        """The versions of what a report of a mistake should name, in either form."""
        told = json.loads(give(None, "version", "--json").stdout)
        assert told["billfold"] == __version__
        assert {"python", "httpx", "msgspec"} <= told.keys()
        assert f"billfold             {__version__}" in give(None, "version").stdout.splitlines()

    @pytest.mark.parametrize("before", ["pass", "sys.modules.update(litestar=None)"], ids=["mounted", "alone"])
    def test_has_its_version_as_an_option_too(self, tmp_path: Path, before: str):
        """``--version`` is what many try first, with the server's commands and without."""
        told = billfold(tmp_path, "--version", before=before)
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.startswith("billfold ")

    @pytest.mark.parametrize("before", ["pass", "sys.modules.update(litestar=None)"], ids=["mounted", "alone"])
    def test_lists_its_version_once(self, tmp_path: Path, before: str):
        """Of two commands of that name the overview has the one that runs."""
        listed = billfold(tmp_path, "--help", before=before).stdout.splitlines()
        assert len([line for line in listed if line.split()[:1] == ["version"]]) == 1

    def test_leaves_the_server_its_version(self, tmp_path: Path):
        """Where it is installed, what it runs on is told as before."""
        assert "litestar" in json.loads(billfold(tmp_path, "version", "--json").stdout)

    def test_completes(self):
        """Shells are told the lines by which they complete, and are told names without asking a server."""
        assert "_BILLFOLD_COMPLETE" in give(None, "completion", "bash").stdout
        words = {"_PARTNER_COMPLETE": "bash_complete", "COMP_WORDS": "partner wallets li", "COMP_CWORD": "2"}
        assert give(None, **words).stdout.split(",")[-1].strip() == "list"

    def test_imports_the_client_only_when_a_resource_is_used(self):
        """Help comes at once."""
        code = "import sys; from billfold.cli.root import partner; partner(['--help'], standalone_mode=False); "
        code += "print({'httpx', 'billfold.client', 'rich', 'cryptography'} & sys.modules.keys(), file=sys.stderr)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stderr.strip() == "set()"
