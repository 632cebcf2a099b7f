"""What the portal's guides show runs: each statement of their Python is reached, and each command is given."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from billfold_server.identity.authorization.intents import CLAIM, OPEN_BANKING_CONSENT, ConsentDetails
from billfold_server.open_banking.edge.signatures import CRITICAL, HEADER
from billfold_server.portal.reading import GUIDES
from tests.live import LiveServer
from tests.openbao import OpenBao
from tests.sandbox import sandbox
from tests.server.portal.guiding import GuidesReader
from tests.server.portal.test_texts import shown
from tests.texts import snippets, source

ROOT = Path(__file__).parents[3]
SLUG = "sandbox"

FUNCTIONS = {
    "open_a_wallet": "tests/sdk/test_embedded.py, with a database of its own",
    "by_certificate": "tests/sdk/auth/test_mutual_tls.py, where a port asks for certificates",
    "test_hears_of_a_top_up": "tests/sdk/testing/test_shown.py, where the plugin's fixtures are",
    "test_a_basket_that_is_left_behind": "tests/sdk/testing/test_shown.py, as above",
}
"""Which functions of the guides aren't run here, and where they are instead."""

COMMANDS = {
    "billfold webhooks listen": "tests/server/portal/test_texts.py, where something listens",
    "billfold directory customers": "tests/server/test_up.py, where `up` has made them",
}
"""Which commands aren't given here, by their beginning, and where they are instead."""


def commands(name: str) -> list[str]:
    """Return the commands that stand in a guide's sentences."""
    prose = re.sub(r"^```.*?^```$", "", source(f"guides/{name}"), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(each.split()) for each in re.findall(r"`(billfold\s[^`]+)`", prose)]


def is_elsewhere(command: str) -> bool:
    """Tell whether a command is given elsewhere."""
    return command.startswith(tuple(COMMANDS))


@pytest.fixture(scope="module")
def live(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve the reader alone, who moves the clock and lets all customers be forgotten."""
    with sandbox(postgres_dsn, tmp_path_factory.mktemp("live")) as server:
        yield server


@pytest.fixture(scope="module")
def reader(
    live: LiveServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[GuidesReader]:
    """A reader with the tenant that everybody tries things out in."""

    def vault() -> OpenBao:
        openbao: OpenBao = request.getfixturevalue("openbao")
        return openbao

    with contextlib.closing(GuidesReader(live, tmp_path_factory.mktemp("reader"), vault)) as made:
        yield made


class TestTheGuides:
    @pytest.mark.timeout(120)
    @pytest.mark.parametrize("name", GUIDES)
    def test_run_as_they_show(self, reader: GuidesReader, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """From top to bottom, each statement and each command does what it says, one after the other, at one tenant."""
        monkeypatch.chdir(reader.folder)
        for variable, value in reader.options.items():
            monkeypatch.setenv(f"BILLFOLD_{variable.upper()}", value)
        reader.begin(name)
        for language, text in shown(reader.live, f"/guides/{name}", SLUG):
            if language == "python":
                reader.run(text)
            else:
                assert language == "sh"
                for line in text.splitlines():
                    reader.say(line)
        for command in commands(name):
            if not is_elsewhere(command):
                reader.say(command)
        assert reader.unreached(FUNCTIONS) == []

    def test_leave_nothing_out_that_is_not_run_elsewhere(self) -> None:
        """Each exception is there, and so is the test that runs it."""
        texts = "\n".join(source(f"guides/{name}") for name in GUIDES)
        assert [each for each in FUNCTIONS if f"def {each}(" not in texts] == []
        given = [command for name in GUIDES for command in commands(name)]
        assert [each for each in COMMANDS if not any(command.startswith(each) for command in given)] == []
        files = re.findall(r"tests/[a-z_/]+\.py", "\n".join([*FUNCTIONS.values(), *COMMANDS.values()]))
        assert len(files) == len(FUNCTIONS) + len(COMMANDS)
        assert [each for each in files if not (ROOT / each).exists()] == []

    def test_tell_third_parties_without_the_sdk_what_no_rfc_says(self) -> None:
        """How they register, name a consent and sign an order stands there in the server's own words."""
        text = source("guides/consents").partition("## Without the SDK")[2].partition("## ")[0]
        said = [CLAIM, OPEN_BANKING_CONSENT.name, *(field.name for field in msgspec.structs.fields(ConsentDetails))]
        said += ["software_statement", "authorization_details_types", HEADER, *CRITICAL, "PS256", "x-idempotency-key"]
        assert [each for each in said if each not in text] == []

    def test_show_nothing_but_python_and_commands(self) -> None:
        """So nothing stands there in a language that nobody runs."""
        found = [language for name in GUIDES for language, _ in snippets(f"guides/{name}")]
        assert set(found) == {"python", "sh"}
