"""What the README shows is what there is: its Python runs or calls what exists, and so do its commands."""

import ast
import contextlib
import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from billfold import Money
from billfold.cli.root import partner
from billfold_server.cli import billfold_command
from tests.examples.reading import ROOT, Reader
from tests.live import LiveServer
from tests.sdk.recording import client

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"```(python|sh)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS_TO_BEGIN = [block.strip() for language, block in BLOCKS if language == "sh"][:2]
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = re.findall(
    r"^(?:\.venv/bin/)?billfold (.+)$", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)), re.MULTILINE
)
NAMED = sorted(set(re.findall(r"`(billfold(?:\.[a-z_]+)+)", README)))
CLIENT, _ = client()


def found(path: str) -> bool:
    """Tell whether a dotted path leads to something of a client's, or of the package's."""
    names = path.split(".")[1:]
    thing: Any = CLIENT
    for name in names:
        thing = getattr(thing, name, None)
    if thing is not None:
        return True
    module, _, name = path.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name) or bool(importlib.import_module(path))
    except ModuleNotFoundError:
        return False


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of a client's methods, as ``wallets.create``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (text := ast.unparse(node.func)).startswith("billfold.") and "(" not in text:
            yield text.removeprefix("billfold."), node


ELSEWHERE = {
    COMMANDS_TO_BEGIN[0]: "nox -s newcomer, in a folder of its own",
    COMMANDS_TO_BEGIN[1]: "CI, as its first step",
    ".venv/bin/billfold up --tls": "tests/server/serving/tls/test_up.py, on ports of its own",
    ".venv/bin/billfold --data-dir=bank up": "tests/server/test_up.py, on a port of its own",
    ".venv/bin/billfold --data-dir=bank directory customers": "tests/server/test_up.py, where `up` has made them",
    ".venv/bin/python examples/tpp_web_app/app.py --data-dir=bank": "tests/examples/test_tpp_web_app.py, in a browser",
    "async with embedded() as billfold:": "tests/sdk/test_embedded.py, with a database of its own",
    "def test_checkout(wallet_sandbox):": "tests/sdk/testing/test_shown.py, where the plugin's fixtures are",
    "inbox = wallet_sandbox.webhooks.listen(": "tests/sdk/testing/test_shown.py, as above",
}
"""What isn't run here, by a line of it or the line's beginning, and where it is instead."""


def is_elsewhere(text: str) -> bool:
    """Tell whether a block or a line is run elsewhere."""
    return any(text.startswith(each) or f"\n{each}" in text for each in ELSEWHERE)


class TestTheReadme:
    @pytest.mark.timeout(120)
    def test_runs_as_it_shows(self, live: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """From top to bottom, its Python and its commands do what they say, one after the other, at one tenant."""
        reader = Reader(live, tmp_path)
        monkeypatch.chdir(tmp_path)
        for name, value in reader.options.items():
            monkeypatch.setenv(f"BILLFOLD_{name.upper()}", value)
        with contextlib.closing(reader):
            for language, block in BLOCKS:
                if language == "python" and not is_elsewhere(block):
                    reader.run(block)
                elif language == "sh":
                    for line in block.splitlines():
                        if not is_elsewhere(line):
                            reader.say(line)
            made = reader.namespace
            assert len(made["verdicts"].results) == 100
            assert made["posted"].amount == Money(1250, "EUR")
            assert len(made["wallets"]) == 2
            assert made["card"].number == "4111111111111111"
            assert len(list(made["accounts"])) == 1
            assert made["proven"].id == made["entry_id"]

    def test_leaves_nothing_out_that_is_not_run_elsewhere(self):
        """Each exception is there, and so is the test that runs it."""
        assert [each for each in ELSEWHERE if not is_elsewhere(each) or each not in README] == []
        files = re.findall(r"tests/[a-z_/]+\.py", "\n".join(ELSEWHERE.values()))
        assert len(files) == len(ELSEWHERE) - 2
        assert [each for each in files if not (ROOT / each).exists()] == []

    def test_imports_what_there_is(self):
        """Each name that is imported from the SDK can be."""
        imported = [node for block in PYTHON for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
        ours = [
            (each.module, name.name)
            for each in imported
            if (each.module or "").startswith("billfold")
            for name in each.names
        ]
        assert len(ours) > 10
        # As the statement does, which also finds a module that nobody has imported yet.
        assert [each for each in ours if not hasattr(__import__(str(each[0]), fromlist=[each[1]]), each[1])] == []

    @pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
    def test_calls_what_there_is(self, block: str):
        """Each method of a client's exists, and takes what it is given."""
        for path, node in calls(ast.parse(block)):
            method: Any = CLIENT
            for name in path.split("."):
                method = getattr(method, name)
            keywords = {each.arg: None for each in node.keywords if each.arg is not None}
            inspect.signature(method).bind(*[None] * len(node.args), **keywords)

    def test_names_what_there_is(self):
        """Each path in its text leads somewhere."""
        assert len(NAMED) > 3
        assert [each for each in NAMED if not found(each)] == []

    @pytest.mark.parametrize("line", COMMANDS)
    def test_gives_commands_that_exist(self, line: str):
        """Each command is there, with the options that it is given."""
        words = shlex.split(line)
        command: click.Command = billfold_command
        given: list[str] = []
        for word in words:
            name = word.partition("=")[0]
            if word.startswith("-"):
                given.append(name)
                assert any(name in each.opts + each.secondary_opts for each in command.params) or name == "--help", line
            elif isinstance(command, click.Group):
                ctx = click.Context(command, obj=partner)
                below = command.get_command(ctx, word)
                assert below is not None, line
                command = below
        assert not isinstance(command, click.Group), line
