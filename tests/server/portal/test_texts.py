"""What the portal has to read: made safely, its links lead somewhere, and its snippets run or call what exists."""

import ast
import html
import inspect
import os
import re
import shutil
import subprocess
import sys
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from billfold import Billfold
from billfold.cli.root import partner
from billfold.keys import PemKey
from billfold_server.cli import billfold_command
from billfold_server.outbound.service import TIMEOUT_S
from billfold_server.portal import markdown, reading
from billfold_server.portal.reading import GUIDES
from tests.examples.test_readme import calls
from tests.live import LiveServer
from tests.sandbox import options
from tests.sdk.recording import client
from tests.server.identity import clients_of
from tests.tenants import manifest
from tests.texts import snippets, source

SNIPPET = re.compile(r'<pre tabindex="0"><code class="language-([a-z]+)">(.*?)</code></pre>', re.DOTALL)


def shown(live: LiveServer, path: str, slug: str = "alpha") -> list[tuple[str, str]]:
    """Return the snippets of a page, each with its language, as a browser shows them."""
    page = httpx.get(f"{live.base(slug)}/portal{path}")
    assert page.status_code == 200
    return [(language, html.unescape(text)) for language, text in SNIPPET.findall(page.text)]


ALL = [("start", source("start"))] + [(each, source(f"guides/{each}")) for each in GUIDES]
"""Every text whose snippets are for a sandbox."""

PYTHON = [
    pytest.param(text, id=f"{name} {place}")
    for name, whole in [*ALL, ("start_keys", source("start_keys"))]
    for place, (language, text) in enumerate(markdown.make(whole).snippets)
    if language == "python"
]
CLIENT, _ = client()


class TestMarkdown:
    def test_shows_tags_as_text(self) -> None:
        """What looks like HTML is none, in prose, code and addresses."""
        text = markdown.make("# A <b>x</b>\n\n<script>1</script>\n\n`<i>`\n\n[x](javascript:y)\n\n```sh\n<u>&\n```\n")
        assert not re.search(r"<(script|b|i|u|a)\b", text.body)
        assert "&lt;u&gt;&amp;" in text.body

    def test_puts_the_tenant_into_its_place(self) -> None:
        """Addresses, links and, where it is asked for, the currency are the tenant's."""
        text = markdown.make(
            "# T\n\n[x](portal:errors#y)\n\n```python own\n'EUR'\n```\n\n```python\n'EUR'\n```\n",
            root="/t/z/portal",
            currency="JPY",
        )
        assert 'href="/t/z/portal/errors#y"' in text.body
        assert [snippet for _, snippet in text.snippets] == ["'JPY'\n", "'EUR'\n"]


class TestThePageOfChanges:
    def test_is_made_once_for_each_tenant(self) -> None:
        """It stays as it was shipped, so nobody waits for its Markdown twice."""
        assert reading._changes("/t/one/portal") is reading._changes("/t/one/portal")


class TestEveryLink:
    def test_of_a_text_leads_to_something(self, live: LiveServer) -> None:
        """Pages and anchors exist, also those of other pages."""
        base = live.base("alpha")
        pages = ["", "/guides", "/changes", *(f"/guides/{each}" for each in GUIDES)]
        links = {
            href
            for each in pages
            for href in re.findall(r'href="(/t/alpha/portal[^"]*)"', httpx.get(f"{base}/portal{each}").text)
        }
        assert len(links) > 15
        texts = {path: httpx.get(live.url + path) for path in {each.partition("#")[0] for each in links}}
        assert {path: page.status_code for path, page in texts.items() if page.status_code != 200} == {}
        anchored = [each.partition("#") for each in links if "#" in each]
        assert [each for each in anchored if f'id="{each[2]}"' not in texts[each[0]].text] == []


class TestEverySnippet:
    @pytest.mark.parametrize("text", PYTHON)
    def test_of_python_calls_what_there_is(self, text: str) -> None:
        """It is Python, imports what can be imported, and its calls of a client fit."""
        tree = ast.parse(text)
        compile(tree, "snippet", "exec")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = __import__(str(node.module), fromlist=[each.name for each in node.names])
                assert all(hasattr(module, each.name) for each in node.names)
        for path, node in calls(tree):
            method: Any = CLIENT
            for name in path.split("."):
                method = getattr(method, name)
            inspect.signature(method).bind(
                *[None] * len(node.args), **{each.arg: None for each in node.keywords if each.arg}
            )

    @pytest.mark.parametrize(("name", "text"), ALL, ids=[name for name, _ in ALL])
    def test_of_a_shell_gives_commands_that_exist(self, name: str, text: str) -> None:
        """Each command of ours is there, with its options."""
        shell = "\n".join(each for language, each in markdown.make(text).snippets if language == "sh").replace(
            "\\\n", " "
        )
        for line in re.findall(r"^billfold (.+)$", shell, re.MULTILINE):
            command: click.Command = billfold_command
            for word in line.split():
                if word.startswith("-"):
                    assert any(word in each.opts for each in command.params), (name, line)
                elif isinstance(command, click.Group):
                    below = command.get_command(click.Context(command, obj=partner), word)
                    assert below is not None, (name, line)
                    command = below
            assert not isinstance(command, click.Group), (name, line)


STEPS = {
    "start": {
        "export BILLFOLD_BASE_URL=": "move_money_by_curl",
        "BILLFOLD_TOKEN=$(curl": "move_money_by_curl",
        "post() {": "move_money_by_curl",
        "post /v1/top-ups": "move_money_by_curl",
        "from billfold import Billfold, Money": "move_money_by_the_sdk",
        "import os\nfrom http.server": "receive_a_webhook",
        "export BILLFOLD_WEBHOOK_SECRET=": "receive_a_webhook",
        "billfold webhooks listen": "receive_a_webhook",
    },
    "start_keys": {
        "import json": "connect_by_a_key_where_secrets_arent_taken",
        "export BILLFOLD_BASE_URL=": "connect_by_a_key_where_secrets_arent_taken",
        "import os\n\nfrom billfold": "connect_by_a_key_where_secrets_arent_taken",
    },
}
"""How each snippet of the first steps begins, by its page, and which test runs it."""


def steps(live: LiveServer, what: str, page: str = "start", slug: str = "alpha") -> list[str]:
    """Return the snippets of the first steps that one test runs, as a browser shows them."""
    begin = tuple(each for each, runs in STEPS[page].items() if runs == what)
    found = [text for _, text in shown(live, "", slug) if text.startswith(begin)]
    assert len(found) == len(begin)
    return found


def exported(lines: str, **told: str) -> dict[str, str]:
    """Return what lines of a shell export, with one's own put in where they leave it open."""
    for name, value in told.items():
        lines = re.sub(rf"({name}=)\S*…$", rf"\g<1>{value}", lines, flags=re.MULTILINE)
    assert "…" not in lines
    script = f"{lines}\nenv -0"
    given = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["sh", "-euc", script], env=given, capture_output=True, text=True, timeout=60, check=True)
    pairs = (each.partition("=") for each in done.stdout.split("\0"))
    return {name: value for name, _, value in pairs if name.startswith("BILLFOLD_")}


@pytest.fixture
def variables(live: LiveServer) -> dict[str, str]:
    """What the page tells to set, with a client's real id and secret."""
    told = options(live)
    return {
        "BILLFOLD_BASE_URL": told["base_url"],
        "BILLFOLD_CLIENT_ID": told["client_id"],
        "BILLFOLD_CLIENT_SECRET": told["client_secret"],
    }


class TestTheGuideOfWebhooks:
    def test_says_how_long_an_answer_may_take(self) -> None:
        """Whoever answers later takes an event, and is sent it again."""
        assert f"within\n{TIMEOUT_S:.0f} seconds" in source("guides/webhooks")


class TestTheFirstSteps:
    def test_move_money_by_curl(self, live: LiveServer, variables: dict[str, str]) -> None:
        """Pasted one after the other, with nothing but one's own id and secret put in, the lines move money."""
        if shutil.which("curl") is None:
            pytest.skip("needs curl")
        lines = steps(live, "move_money_by_curl")
        assert variables["BILLFOLD_BASE_URL"] in lines[0]
        lines[0] = lines[0].replace("cli_…", variables["BILLFOLD_CLIENT_ID"])
        lines[0] = lines[0].replace("SECRET=…", f"SECRET={variables['BILLFOLD_CLIENT_SECRET']}")
        environment = {"PATH": os.environ["PATH"]}
        done = subprocess.run(
            ["sh", "-eu"],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert '"posted_minor":1250' in done.stdout

    def test_move_money_by_the_sdk(
        self,
        live: LiveServer,
        variables: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """With the same variables, the SDK does the same."""
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        (text,) = steps(live, "move_money_by_the_sdk")
        exec(text, {})  # noqa: S102 - Our own page.
        assert capsys.readouterr().out == "1250 EUR\n"

    def test_receive_a_webhook(self, live: LiveServer, variables: dict[str, str]) -> None:
        """The receiver runs as it stands, but for its port, and takes what the command delivers."""
        text, secret, command = steps(live, "receive_a_webhook")
        given = variables | exported(secret)
        text = text.replace(", 9000)", ", 0)").replace(
            "Receiver).serve", "Receiver)\nprint(server.server_port, flush=True)\nserver.serve"
        )
        text = text.replace("HTTPServer((", "server = HTTPServer((")
        told: dict[str, Any] = {name.removeprefix("BILLFOLD_").lower(): value for name, value in variables.items()}
        with Billfold(**told) as billfold:
            before = billfold.events.newest()
            ada = billfold.parties.create(kind="person", name="Ada")
        environment = {**os.environ, **given, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            [sys.executable, "-c", text], env=environment, stdout=subprocess.PIPE, text=True
        ) as receiver:
            assert receiver.stdout is not None
            port = receiver.stdout.readline().strip()
            words = command.replace("\\\n", " ").replace(":9000/", f":{port}/").split()[1:]
            # Other tests' sandboxes may get ready at this tenant meanwhile, which are events too.
            words += [f"--after={before}", "--count=1", "--type=party.created"]
            done = CliRunner().invoke(partner, words, env=given)
            receiver.terminate()
            assert (done.exit_code, " 204 in " in done.stdout) == (0, True), done.output
            assert receiver.stdout.read() == f"party.created {ada.id}\n"

    def test_connect_by_a_key_where_secrets_arent_taken(
        self, live: LiveServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """At a tenant under FAPI 2.0 the page shows keys, and what it shows runs once the key is registered."""
        live.add_tenant(manifest("keyed", security_profile="fapi2"))
        make, tell, use = steps(live, "connect_by_a_key_where_secrets_arent_taken", "start_keys", "keyed")
        monkeypatch.chdir(tmp_path)
        exec(make, {})  # noqa: S102 - Our own page.
        scopes = ["parties:write", "wallets:read", "wallets:write", "transfers:write"]
        keys = [PemKey("client.pem").public_jwk]
        registered = clients_of.make(live, "keyed", "private_key_jwt", scopes=scopes, further_keys=keys)
        for name, value in exported(tell, BILLFOLD_CLIENT_ID=registered.client_id).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        exec(use, {})  # noqa: S102 - Our own page.
        assert capsys.readouterr().out == "1250 EUR\n"

    @pytest.mark.parametrize("page", STEPS)
    def test_leave_nothing_out(self, page: str) -> None:
        """Each snippet is one that a test runs, and each test runs some."""
        # Tests are run where the plugin's fixtures are: tests/sdk/testing/test_shown.py.
        texts = [text for _, text in snippets(page) if "wallet_sandbox" not in text]
        assert [text for text in texts if not text.startswith(tuple(STEPS[page]))] == []
        assert [each for each in STEPS[page] if sum(text.startswith(each) for text in texts) != 1] == []
        assert [each for each in STEPS[page].values() if not hasattr(self, f"test_{each}")] == []
