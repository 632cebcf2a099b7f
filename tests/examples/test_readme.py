"""What the README shows is what there is: its Python runs or calls what exists, and so do its commands."""

import ast
import contextlib
import importlib
import inspect
import re
import shlex
import time
from collections.abc import Iterator
from typing import Any

import click
import pytest

from billfold.cli.following import Happened, signed
from billfold.cli.root import partner
from billfold_server.cli import billfold_command
from tests.examples.conftest import ROOT
from tests.live import LiveServer
from tests.sandbox import options
from tests.sdk.recording import client

README = (ROOT / "README.md").read_text(encoding="utf-8")
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


class Delivered:
    """A request that delivers an event to the endpoint that a snippet has made."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        at = "2026-11-20T12:00:00Z"
        self.body = b'{"id":"evt_1","sequence":1,"type":"wallet.created","version":1,"object_id":"wal_1","data":{},'
        self.body += f'"occurred_at":"{at}"}}'.encode()
        self._event = Happened("evt_1", 1, "wallet.created", "wal_1", at, self.body)

    @property
    def headers(self) -> dict[str, str]:
        """Its headers, signed by the endpoint's secret."""
        return signed(self._event, self._namespace["endpoint"].secret, time.time())


class TestTheReadme:
    def test_runs_as_it_shows(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch):
        """The lines that need nothing but a tenant move money, pay many, and take a webhook, one after the other."""
        for name, value in options(live).items():
            monkeypatch.setenv(f"BILLFOLD_{name.upper()}", value)
        namespace: dict[str, Any] = {}
        namespace["request"] = Delivered(namespace)
        beginnings = (
            "from billfold import Billfold, Money, errors",
            "from billfold import order",
            "for transfer in billfold.transfers.list",
            "from billfold import webhooks",
        )
        run = [block for block in PYTHON if block.startswith(beginnings)]
        assert len(run) == len(beginnings)
        with contextlib.ExitStack() as stack:
            for block in run:
                exec(block, namespace)  # noqa: S102 - Our own page.
                stack.callback(namespace["billfold"].close)
            assert len(namespace["verdicts"].results) == 100
            assert namespace["event"].id == "evt_1"
            namespace["billfold"].webhook_endpoints.delete(namespace["endpoint"].id)

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
